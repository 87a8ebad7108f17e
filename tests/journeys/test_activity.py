"""When was somebody last here, and who may sleep."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Final

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.journeys.conftest import APP, Visit
from tests.journeys.visitor import FETCH, Operator, Visitor, operator_of, together
from tests.parts.system import System, dev_system, until

SLEEPY: Final = {
    "SUSPEND_AFTER_S": "2",
    "SWEEP_EVERY_S": "0.3",
    "TOUCH_EVERY_S": "0.3",
    # The Guard takes a stream for work until nothing moved on it for a minute; a test should not wait for that.
    "AWAKE_CAP_S": "3",
}


async def last_active(operator: Operator, email: str) -> datetime:
    at = await operator.rows.fetchval("select last_active from public.user_instances where email = $1", email)
    assert isinstance(at, datetime)
    return at


async def assert_counted(operator: Operator, email: str, since: datetime) -> None:
    async def moved() -> bool:
        return await last_active(operator, email) >= since

    await until(moved, within=5, what="last_active moves")


async def test_every_hit_moves_last_active_within_five_seconds(dev: System, operator: Operator, visit: Visit) -> None:
    """The operator sees who is here: by pages, by uploads, and by what moves on a WebSocket."""
    ada = await visit("ada", at=dev)
    hit = datetime.now(UTC)
    assert (await ada.http.post("/echo", content=b"hello", headers=FETCH)).status_code == 200
    await assert_counted(operator, ada.email, hit)
    async with ada.websocket() as socket:
        hit = datetime.now(UTC)
        await socket.send("still here")
        await socket.recv()
        await assert_counted(operator, ada.email, hit)


@pytest.fixture(scope="module")
def sleepy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Suspends after two quiet seconds (and two of grace)."""
    with dev_system(tmp_path_factory.mktemp("sleepy") / "data", app_command=APP, environment=SLEEPY) as system:
        yield system


@pytest.fixture
async def counter(sleepy: System) -> AsyncIterator[Operator]:
    async with operator_of(sleepy) as somebody:
        yield somebody


async def suspended(operator: Operator, email: str) -> bool:
    return bool((await operator.show(email))["state"] == "suspended")


async def test_the_quiet_are_suspended_and_whoever_is_served_is_not(
    sleepy: System, counter: Operator, visit: Visit
) -> None:
    """I pay for no quiet hour, and am never cut off while my Jarvis talks, streams or thinks."""
    talker, reader, thinker, quiet = await together(*(visit(who, at=sleepy) for who in ("ws", "sse", "slow", "quiet")))
    over = asyncio.Event()

    async def talk() -> int:
        said = 0
        async with talker.websocket() as socket:
            while not over.is_set():
                await socket.send(f"{said}")
                assert await asyncio.wait_for(socket.recv(), 10) == f"{said}"
                said += 1
                await asyncio.wait([asyncio.ensure_future(over.wait())], timeout=0.5)
        return said

    async def read() -> int:
        lines = 0
        async with reader.http.stream("GET", "/sse?n=100000&interval_ms=300") as answer:
            async for line in answer.aiter_lines():
                lines += line.startswith("data:")
                if over.is_set():
                    break
        return lines

    busy = [asyncio.ensure_future(work) for work in (talk(), read(), thinker.http.get("/sleep?ms=6500"))]
    # Whoever is quiet came last, so the others were long due when this one sleeps.
    assert (await quiet.http.get("/env", headers=FETCH)).status_code == 200
    await until(lambda: suspended(counter, quiet.email), within=15)
    over.set()
    said, lines, answer = await together(*busy)
    assert said > 5
    assert lines > 5
    assert (answer.status_code, answer.text) == (200, "slept")
    for somebody in (talker, reader, thinker):
        assert "suspending" not in await counter.states(somebody.email), somebody.email
    assert "suspending" in await counter.states(quiet.email)


async def test_an_abandoned_websocket_does_not_keep_a_machine_awake(
    sleepy: System, counter: Operator, visit: Visit
) -> None:
    """A tab forgotten over the weekend costs nothing: pings alone are no work. It is told that we go away."""
    ada = await visit("ada", at=sleepy)
    async with ada.websocket(ping_interval=0.3, ping_timeout=20) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        assert await closed_with(socket) == 1001
        await until(lambda: suspended(counter, ada.email), within=10)
    await wakes(ada)


async def closed_with(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), 20)
    return socket.close_code


async def wakes(visitor: Visitor) -> None:
    async with visitor.websocket() as socket:
        await socket.send("back")
        assert await socket.recv() == "back"
