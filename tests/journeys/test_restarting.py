"""`my-jarvis dev` ends, politely or not, and begins again where it was."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import httpx

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


async def test_ctrl_c_leaves_nothing_behind_and_everything_is_there_again(tmp_path: Path) -> None:
    """I stop the system while tabs are open: it ends within seconds, and next time I am signed in with my data."""
    data_dir = tmp_path / "data"
    first = await started(data_dir)
    try:
        ada = await at_home(first)
        async with ada, Visitor("bob@example.com", first.public) as bob:
            assert (await bob.sign_in("/_gateway/instance")).status_code == 200
            family = first.program.family()
            assert len(family) > 8  # the gateway, Postgres and its workers, the watchdog, Guard and App
            async with (
                ada.http.stream("GET", "/sse?n=1000&interval_ms=100") as stream,
                bob.http.stream("GET", "/_gateway/events") as events,
                ada.websocket() as socket,
            ):
                assert (stream.status_code, events.status_code) == (200, 200)
                async with asyncio.timeout(15):
                    assert await asyncio.to_thread(first.program.interrupt) == 0
                    await socket.wait_closed()
                assert socket.close_code == 1012
                assert survivors(family) == []
                with suppress(httpx.RemoteProtocolError):
                    await stream.aread()
                await events.aread()
            await at_home_again(ada, data_dir, port_of(first))
    finally:
        await asyncio.to_thread(first.program.close)


async def test_a_killed_system_leaves_nothing_behind_and_loses_nothing(tmp_path: Path) -> None:
    """Somebody pulls the plug: no process goes on without it, and next time I am signed in with my data."""
    data_dir = tmp_path / "data"
    first = await started(data_dir)
    try:
        ada = await at_home(first)
        async with ada:
            family = first.program.family()
            await asyncio.to_thread(first.program.kill)

            async def all_gone() -> bool:
                return not survivors(family)

            await until(all_gone, within=15)
            await at_home_again(ada, data_dir, port_of(first))
    finally:
        await asyncio.to_thread(first.program.close)


async def at_home_again(ada: Visitor, data_dir: Path, port: int) -> None:
    """A new system on the old folder, in which nothing of the last one runs, knows her and her one Machine."""
    if sys.platform == "linux":
        assert mentioning(str(data_dir)) == []
    second = await started(data_dir, port=port)
    try:
        answer = await ada.http.get("/read", params={"name": "note"}, headers=FETCH)
        assert (answer.status_code, answer.text, answer.history) == (200, "kept", [])
        async with operator_of(second) as operator:
            machine = await operator.machine(ada.email)
            assert (await operator.show(ada.email))["machine_id"] == machine["id"]
    finally:
        await asyncio.to_thread(second.program.close)


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
