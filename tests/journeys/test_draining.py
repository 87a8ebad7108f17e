"""Putting to sleep while another replica serves: it objects, or it lets go in good order."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from websockets.exceptions import ConnectionClosed

from localcloud.database import Database
from tests.journeys.conftest import APP, Visit
from tests.journeys.visitor import Operator, Visitor, operator_of, together
from tests.parts.system import Replica, System, served, until

NEVER: Final = {"SUSPEND_AFTER_S": "90000", "TOUCH_EVERY_S": "0.3"}
SLEEPY: Final = {"SUSPEND_AFTER_S": "1", "SWEEP_EVERY_S": "0.3", "TOUCH_EVERY_S": "0.3", "AWAKE_CAP_S": "2"}


@pytest.fixture
async def replicas(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    """One that puts to sleep after a quiet second, whatever a Guard says after two; and one that never does."""
    async with served(tmp_path, database, app_command=APP) as cloud:
        one, two = await together(cloud.replica("one", **SLEEPY), cloud.replica("two", **NEVER))
        yield one, two


async def slept(operator: Operator, visitor: Visitor) -> bool:
    return "suspended" in await operator.states(visitor.email)


async def test_a_stream_at_another_replica_objects_or_is_closed(
    replicas: tuple[Replica, Replica], visit: Visit
) -> None:
    """Whoever talks goes on talking; a forgotten tab is told that we go, though another gateway holds its line."""
    one, two = replicas
    talker, quiet = await together(visit("talker", at=one), visit("quiet", at=one))
    async with (
        operator_of(one) as operator,
        talker.at(two.public) as talker_at_two,
        quiet.at(two.public) as quiet_at_two,
        talker_at_two.websocket() as talk,
        quiet_at_two.websocket() as forgotten,
    ):
        over = asyncio.Event()

        async def talking() -> int:
            said = 0
            while not over.is_set():
                await talk.send(str(said))
                assert await asyncio.wait_for(talk.recv(), 20) == str(said)
                said += 1
                await asyncio.wait([asyncio.ensure_future(over.wait())], timeout=0.2)
            return said

        conversation = asyncio.ensure_future(talking())
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(forgotten.recv(), 30)
        assert forgotten.close_code == 1001
        await until(lambda: slept(operator, quiet))
        over.set()
        assert await conversation > 5
        assert "suspending" not in await operator.states(talker.email)


async def test_an_order_is_obeyed_and_every_replica_lets_go(replicas: tuple[Replica, Replica], visit: Visit) -> None:
    """The operator says sleep: nobody objects, and a WebSocket at the other gateway is closed in words."""
    one, two = replicas
    ada = await visit("ada", at=two)
    async with operator_of(one) as operator, ada.websocket() as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        assert (await operator.act(ada.email, "suspend"))["state"] == "suspended"
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)
        assert socket.close_code == 1001


async def test_a_frame_wakes_a_machine_that_was_suspended_behind_our_back(
    dev: System, operator: Operator, visit: Visit
) -> None:
    """My tab stayed open over somebody's maintenance at Fly: what I type next is answered, on the same line."""
    ada = await visit("ada", at=dev)
    async with ada.websocket() as socket:
        await socket.send("before")
        assert await socket.recv() == "before"
        await operator.behind_our_back(ada.email, "suspend")
        await socket.send("after")
        assert await asyncio.wait_for(socket.recv(), 30) == "after"
