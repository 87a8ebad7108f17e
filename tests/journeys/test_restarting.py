"""`my-jarvis dev` ends, politely or not, and begins again where it was."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from tests.journeys.visitor import FETCH, Visitor, operator_of
from tests.parts.system import Program, System, mentioning, start_dev, survivors, until


async def at_home(system: System) -> Visitor:
    """Ada, signed in, with a note on her disk."""
    ada = Visitor("ada@example.com", system.public)
    assert (await ada.sign_in()).status_code == 200
    assert (await ada.http.post("/write", params={"name": "note", "text": "kept"})).status_code == 200
    return ada


async def started(data_dir: Path, *, port: int = 0) -> System:
    return await asyncio.to_thread(start_dev, data_dir, public_port=port)


def port_of(system: System) -> int:
    return int(system.public.rpartition(":")[2])


@pytest.mark.parametrize("end", ["Ctrl-C", "kill -9"])
async def test_nothing_stays_behind_and_everything_is_there_again(tmp_path: Path, end: str) -> None:
    """I stop the system, even by pulling the plug: no process is left, and next time I am signed in with my data."""
    data_dir = tmp_path / "data"
    first = await started(data_dir)
    ada = await at_home(first)
    try:
        family = first.program.family()
        assert len(family) > 8  # the gateway, Postgres and its workers, the watchdog, Guard and App
        async with ada.websocket() as socket, operator_of(first) as operator:
            machine_id = (await operator.machine(ada.email))["id"]
            await socket.send("hello")
            assert await socket.recv() == "hello"
            if end == "Ctrl-C":
                assert await asyncio.to_thread(first.program.interrupt) == 0
                assert socket.close_code == 1012 or await closed(socket) == 1012
                assert survivors(family) == []
            else:
                await asyncio.to_thread(first.program.kill)

                async def all_gone() -> bool:
                    return not survivors(family)

                await until(all_gone, within=15)
        if sys.platform == "linux":
            assert mentioning(str(data_dir)) == []
        second = await started(data_dir, port=port_of(first))
        try:
            assert second.public == first.public
            answer = await ada.http.get("/env", headers=FETCH)
            assert (answer.status_code, answer.json()["USER_EMAIL"]) == (200, ada.email)
            assert answer.history == []
            assert (await ada.http.get("/read", params={"name": "note"})).text == "kept"
            async with operator_of(second) as operator:
                assert (await operator.machine(ada.email))["id"] == machine_id
        finally:
            await asyncio.to_thread(second.program.close)
    finally:
        await ada.http.aclose()
        await asyncio.to_thread(first.program.close)


async def closed(socket: ClientConnection) -> int | None:
    await asyncio.wait_for(socket.wait_closed(), 10)
    return socket.close_code


async def test_ctrl_c_does_not_wait_for_open_tabs(tmp_path: Path) -> None:
    """Browsers are still open, streaming or just connected; the system stops all the same, within seconds."""
    system = await started(tmp_path / "data")
    try:
        ada = await at_home(system)
        async with ada, Visitor("bob@example.com", system.public) as bob:
            assert (await bob.sign_in("/_gateway/instance")).status_code == 200
            async with (
                ada.http.stream("GET", "/sse?n=1000&interval_ms=100") as stream,
                bob.http.stream("GET", "/_gateway/events") as events,
                ada.websocket(),
            ):
                assert (stream.status_code, events.status_code) == (200, 200)
                async with asyncio.timeout(10):
                    assert await asyncio.to_thread(system.program.interrupt) == 0
                with suppress(httpx.RemoteProtocolError):
                    await stream.aread()
                await events.aread()
    finally:
        await asyncio.to_thread(system.program.close)


async def test_ctrl_c_before_it_is_ready_leaves_nothing_behind(tmp_path: Path) -> None:
    """I change my mind at once."""
    data_dir = tmp_path / "data"
    arguments = ["dev", "--public-port", "0", "--admin-port", "0", "--broker-port", "0", "--data-dir", str(data_dir)]
    program = Program(arguments, {}, tmp_path / "said")
    try:

        async def postgres_is_coming_up() -> bool:
            return len(program.family()) > 1

        await until(postgres_is_coming_up)
        family = program.family()
        assert await asyncio.to_thread(program.interrupt) == 0
        assert survivors(family) == []
        if sys.platform == "linux":
            assert mentioning(str(data_dir)) == []
    finally:
        program.close()
