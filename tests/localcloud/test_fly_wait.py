"""Waiting for a state: answered the moment it is reached, with 408 when time is up, and never by looking again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.fly import LocalFly, local_fly
from localcloud.fly.limits import UNLIMITED
from tests.parts.clock import ManualClock
from tests.parts.local_fly import TOKEN, FlyCaller, arrived


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def still(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalFly]:
    """A Fly whose time stands still unless moved, with one app."""
    async with local_fly(tmp_path, token=TOKEN, command=None, limits=UNLIMITED, clock=clock) as running:
        yield running


@pytest.fixture
async def call(still: LocalFly) -> AsyncIterator[FlyCaller]:
    async with FlyCaller(still.url) as caller:
        await caller.app()
        yield caller


async def waiting(still: LocalFly, call: FlyCaller, machine: dict[str, Any], **query: str) -> asyncio.Future[Any]:
    """A wait that has arrived."""
    before = still.calls.counts["wait_machine"]
    path = f"/apps/ada/machines/{machine['id']}/wait"
    future = asyncio.ensure_future(call("GET", path, query=query))
    await arrived(still, "wait_machine", before + 1)
    return future


async def test_it_answers_when_the_state_is_reached(still: LocalFly, call: FlyCaller, clock: ManualClock) -> None:
    machine = await call.machine(state=None)
    wait = await waiting(still, call, machine)
    await clock.advance(seconds=0.06)
    assert await call.state(machine) == "starting"
    assert not wait.done()
    await clock.advance(seconds=0.02)
    status, answer = await wait
    assert (status, answer["ok"], answer["state"]) == (200, True, "started")
    assert answer["version"] == machine["instance_id"]


async def test_it_gives_up_in_flys_words(still: LocalFly, call: FlyCaller, clock: ManualClock) -> None:
    still.latencies.create = 600
    machine = await call.machine(state=None)
    wait = await waiting(still, call, machine, timeout="5", state="started,failed")
    await clock.advance(seconds=5)
    assert await wait == (
        408,
        {"error": "deadline_exceeded: machine failed to reach desired state, started,failed, currently created"},
    )


async def test_one_minute_is_the_default(still: LocalFly, call: FlyCaller, clock: ManualClock) -> None:
    still.latencies.create = 600
    machine = await call.machine(state=None)
    wait = await waiting(still, call, machine)
    await clock.advance(seconds=59)
    assert not wait.done()
    await clock.advance(seconds=1)
    assert (await wait)[0] == 408


@pytest.mark.parametrize("timeout", ["0", "61", "-1"])
async def test_out_of_range(call: FlyCaller, timeout: str) -> None:
    machine = await call.machine(state=None)
    status, answer = await call("GET", f"/apps/ada/machines/{machine['id']}/wait", query={"timeout": timeout})
    assert (status, answer["error"]) == (
        400,
        f"invalid_argument: invalid timeout {timeout}s: value must be inside range [1s, 1m0s]",
    )


async def test_stopped_needs_a_version(call: FlyCaller) -> None:
    machine = await call.machine(state=None)
    path = f"/apps/ada/machines/{machine['id']}/wait"
    assert (await call("GET", path, query={"state": "stopped"}))[0] == 400


async def test_an_old_version_is_replaced(call: FlyCaller, clock: ManualClock, still: LocalFly) -> None:
    machine = await call.machine(state=None)
    await clock.advance(seconds=1)
    wait = await waiting(still, call, machine, state="stopped", version=machine["instance_id"], timeout="9")
    await call("POST", f"/apps/ada/machines/{machine['id']}", {"config": {"image": "x"}})
    await clock.advance(seconds=9)
    text = "deadline_exceeded: machine failed to reach desired state, {}, currently replaced"
    assert await wait == (408, {"error": text.format("stopped")})
    path = f"/apps/ada/machines/{machine['id']}/wait"
    query = {"state": "started", "instance_id": machine["instance_id"]}
    assert await call("GET", path, query=query) == (408, {"error": text.format("started")})
    assert (await call("GET", path, query=query | {"instance_id": "0" * 26}))[0] == 404


async def test_settled_is_any_rest(still: LocalFly, call: FlyCaller, clock: ManualClock) -> None:
    """Including failed, which spares the client the rest of its minute."""
    still.faults.add({"fault": {"kind": "boot_failure"}})
    machine = await call.machine(state=None)
    wait = await waiting(still, call, machine, state="settled")
    assert not wait.done()
    await clock.advance(seconds=1)
    status, answer = await wait
    assert (status, answer["state"]) == (200, "failed")


async def test_a_state_that_lasts_no_time_is_noticed(still: LocalFly, call: FlyCaller, clock: ManualClock) -> None:
    machine = await call.machine(state=None)
    await clock.advance(seconds=1)
    waits = [await waiting(still, call, machine, state=state) for state in ("suspended", "destroyed")]
    await call("POST", f"/apps/ada/machines/{machine['id']}/suspend")
    still.latencies.destroy = 0
    await clock.advance(seconds=0.06)
    await call("DELETE", f"/apps/ada/machines/{machine['id']}")
    await clock.advance(seconds=1)
    assert [(await wait)[1]["state"] for wait in waits] == ["suspended", "destroyed"]


async def test_after_an_event(still: LocalFly, call: FlyCaller, clock: ManualClock) -> None:
    """`from_event_id` looks only at what came later, even if it is over."""
    machine = await call.machine(state=None)
    await clock.advance(seconds=1)
    path = f"/apps/ada/machines/{machine['id']}"
    _, events = await call("GET", path + "/events")
    wait = await waiting(still, call, machine, state="started", from_event_id=events[0]["id"])
    assert not wait.done()
    await call("POST", path + "/restart")
    await clock.advance(seconds=1)
    assert (await wait)[0] == 200
    status, answer = await call("GET", path + "/wait", query={"state": "started", "from_event_id": events[0]["id"]})
    assert (status, answer["state"]) == (200, "started")
    assert (await call("GET", path + "/wait", query={"from_event_id": "none"}))[0] == 400


async def test_waiting_for_a_machine_that_is_gone(call: FlyCaller, clock: ManualClock) -> None:
    machine = await call.machine(state=None)
    await clock.advance(seconds=1)
    path = f"/apps/ada/machines/{machine['id']}"
    await call("DELETE", path, query={"force": "true"})
    await clock.advance(seconds=0.5)
    status, answer = await call("GET", path + "/wait", query={"state": "started"})
    assert (status, answer["error"].rpartition(" ")[2]) == (408, "destroyed")
    await clock.advance(seconds=1)
    assert (await call("GET", path + "/wait", query={"state": "destroyed"}))[0] == 404


async def test_what_was_just_made_may_be_invisible(still: LocalFly, call: FlyCaller, clock: ManualClock) -> None:
    """Right after a create, the Machine can be 404 and missing from lists for a moment."""
    still.latencies.invisible = 1
    await clock.advance(seconds=1)
    machine = await call.machine(state=None)
    path = f"/apps/ada/machines/{machine['id']}"
    assert (await call("GET", path))[0] == (await call("GET", path + "/wait"))[0] == 404
    assert (await call("GET", "/apps/ada/machines"))[1] == []
    await clock.advance(seconds=1)
    assert (await call("GET", path))[0] == 200
    await call.app("bob")
    assert (await call("GET", "/apps/bob"))[0] == 404
