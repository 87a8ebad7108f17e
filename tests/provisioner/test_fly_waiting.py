"""Waiting for a state, whatever Fly answers on the way."""

import asyncio
from datetime import timedelta

import pytest

from provisioner.errors import (
    NotThere,
    WrongState,
)
from provisioner.fly.client import FlyClient
from provisioner.fly.machine import machine_of
from provisioner.ports import MachineState
from tests.parts.scripted_fly import (
    ONE,
    Drops,
    Hangs,
    Says,
    fly_client,
    fly_clock,
    fly_script,
    machine,
    refusal,
)

FIXTURES = (fly_client, fly_clock, fly_script)  # for pytest to find

STARTED, STOPPED, SUSPENDED = MachineState.STARTED, MachineState.STOPPED, MachineState.SUSPENDED


def ran_out(state: str) -> Says:
    return refusal(408, f"deadline_exceeded: machine failed to reach desired state, started, currently {state}")


async def wait(client: FlyClient, *states: MachineState, seconds: float = 10, **fields: object) -> MachineState:
    return await client.wait("jarvis", machine_of(machine(**fields)), states, timeout=timedelta(seconds=seconds))


async def test_names_the_states_the_version_and_the_time(fly, client):
    fly.on("GET", f"{ONE}/wait", Says(body={"ok": True, "state": "stopped"}))
    assert await wait(client, STOPPED, SUSPENDED) is STOPPED
    version = machine()["instance_id"]
    assert fly.asked[0].params == [
        ("state", "stopped"),
        ("state", "suspended"),
        ("timeout", "10"),
        ("version", version),
        ("instance_id", version),
    ]


async def test_a_start_is_waited_for_without_the_version_if_that_is_not_known(fly, client):
    """Fly wants it for `stopped` only; to ask for it first would cost every wake a call."""
    fly.on("GET", f"{ONE}/wait", Says(body={"ok": True, "state": "started"}))
    assert await wait(client, STARTED, instance_id="") is STARTED
    assert [call.params for call in fly.asked] == [[("state", "started"), ("timeout", "10")]]


@pytest.mark.parametrize(("seconds", "sent"), [(0, "1"), (0.2, "1"), (1.5, "2"), (60, "60"), (3600, "60")])
async def test_stays_within_what_fly_takes(fly, client, seconds, sent):
    fly.on("GET", f"{ONE}/wait", Says(body={"ok": True, "state": "started"}))
    await wait(client, STARTED, seconds=seconds)
    assert dict(fly.asked[0].params)["timeout"] == sent


async def test_may_be_longer_than_any_other_call(fly, client):
    """The time Fly holds the answer is on top of the usual limit (0.2 s here)."""
    fly.on("GET", f"{ONE}/wait", Hangs())
    waiting = asyncio.create_task(wait(client, STARTED, seconds=60))
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    assert not done
    waiting.cancel()


async def test_looks_if_the_answer_does_not_say(fly, client):
    fly.on("GET", f"{ONE}/wait", Says(body={"ok": True}))
    fly.on("GET", ONE, Says(body=machine(state="started")), Says(body=machine(state="failed")))
    assert await wait(client, STARTED) is STARTED
    with pytest.raises(WrongState) as other:
        await wait(client, STARTED)
    assert other.value.current == "failed"


async def test_that_runs_out_names_the_state_it_is_in(fly, client):
    fly.on("GET", f"{ONE}/wait", ran_out("stopped"))
    with pytest.raises(WrongState) as late:
        await wait(client, STARTED)
    assert (late.value.current, len(fly.asked)) == ("stopped", 1)


@pytest.mark.parametrize("status", [400, 408, 412])
async def test_goes_on_with_the_new_version_of_a_replaced_one(fly, client, status):
    replaced = refusal(status, "machine failed to reach desired state, started, currently replaced")
    fly.on("GET", f"{ONE}/wait", replaced, Says(body={"ok": True, "state": "started"}))
    fly.on("GET", ONE, Says(body=machine(instance_id="01NEW")))
    assert await wait(client, STARTED) is STARTED
    assert dict(fly.asked[-1].params)["version"] == "01NEW"


async def test_follows_a_replacement_once(fly, client):
    fly.on("GET", f"{ONE}/wait", ran_out("replaced"))
    fly.on("GET", ONE, Says(body=machine(instance_id="01NEW")))
    with pytest.raises(WrongState):
        await wait(client, STARTED)
    assert len(fly.requests("GET", f"{ONE}/wait")) == 2


async def test_learns_the_version_first_if_it_does_not_know_it(fly, client):
    fly.on("GET", ONE, Says(body=machine(instance_id="01NEW")))
    fly.on("GET", f"{ONE}/wait", Says(body={"ok": True, "state": "stopped"}))
    await wait(client, STOPPED, instance_id="")
    assert dict(fly.asked[-1].params)["version"] == "01NEW"


async def test_for_the_end_of_what_is_gone_is_over(fly, client):
    fly.on("GET", f"{ONE}/wait", refusal(404, "machine not found"))
    assert await wait(client, MachineState.DESTROYED) is MachineState.DESTROYED
    with pytest.raises(NotThere):
        await wait(client, STARTED)


async def test_resumes_with_the_rest_of_its_time_when_an_answer_is_lost(fly, client):
    fly.on("GET", f"{ONE}/wait", Drops(), refusal(502, ""), Says(body={"state": "started"}))
    assert await wait(client, STARTED) is STARTED
    assert [dict(asked.params)["timeout"] for asked in fly.asked] == ["10", "10", "9"]


async def test_for_what_fly_cannot_wait_for_is_our_mistake(fly, client):
    for states in ([], [MachineState.STARTING]):
        with pytest.raises(ValueError, match="Fly can wait for"):
            await wait(client, *states)
