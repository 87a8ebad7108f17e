"""Putting Machines to sleep, ending them, listing what there is."""

from datetime import timedelta

import pytest

from provisioner.errors import (
    WrongState,
)
from tests.parts.scripted_fly import (
    ID,
    MANY,
    METADATA,
    ONE,
    Drops,
    Says,
    fly_client,
    fly_clock,
    fly_script,
    machine,
    refusal,
)

FIXTURES = (fly_client, fly_clock, fly_script)  # for pytest to find


async def test_stop_says_how(fly, client):
    fly.on("POST", f"{ONE}/stop", Says(body={"ok": True}))
    await client.stop("jarvis", ID, signal="SIGTERM", timeout=timedelta(seconds=10))
    assert fly.asked[0].body == {"signal": "SIGTERM", "timeout": "10s"}


async def test_of_what_sleeps_already_is_a_success(fly, client):
    fly.on("POST", f"{ONE}/stop", refusal(412, "machine is currently stopped"))
    fly.on("POST", f"{ONE}/suspend", refusal(412, "unable to suspend machine from current state: 'suspended'"))
    await client.stop("jarvis", ID, signal="SIGTERM", timeout=timedelta(seconds=10))
    await client.suspend("jarvis", ID)


async def test_a_refused_suspend_tells_why(fly, client):
    fly.on("POST", f"{ONE}/suspend", refusal(412, "unable to suspend machine from current state: 'stopped'"))
    with pytest.raises(WrongState) as refused:
        await client.suspend("jarvis", ID)
    assert refused.value.current == "stopped"


async def test_destroy_is_forced_and_may_find_nothing(fly, client):
    fly.on("DELETE", ONE, Says(body={"ok": True}), refusal(404, ""), refusal(409, "machine is destroying"))
    for _ in range(3):
        await client.destroy("jarvis", ID)
    assert fly.asked[0].params == [("force", "true")]


async def test_deletes_are_repeated_when_the_answer_is_lost(fly, client):
    fly.on("DELETE", ONE, Drops(), refusal(404, ""))
    fly.on("DELETE", "/jarvis/volumes/vol_1", refusal(502, ""), Says(body={"id": "vol_1"}))
    await client.destroy("jarvis", ID)
    await client.delete_volume("jarvis", "vol_1")
    assert len(fly.asked) == 4


async def test_a_disk_is_deleted_as_soon_as_it_is_detached(fly, client, clock):
    attached = refusal(412, f"failed_precondition: volume vol_1 is currently attached to machine {ID}")
    fly.on("DELETE", "/jarvis/volumes/vol_1", attached, attached, Says(body={"id": "vol_1"}))
    await client.delete_volume("jarvis", "vol_1")
    assert len(fly.asked) == 3
    fly.on("DELETE", "/jarvis/volumes/vol_1", attached)
    with pytest.raises(WrongState):
        await client.delete_volume("jarvis", "vol_1")
    assert clock.monotonic() < 15


async def test_a_destroyed_machine_is_no_machine(fly, client):
    fly.on("GET", ONE, Says(body=machine(state="destroyed")), refusal(404, ""))
    assert [await client.machine("jarvis", ID), await client.machine("jarvis", ID)] == [None, None]


async def test_machines_are_ours_only(fly, client):
    """A reconciler destroys by this list: what Fly's filter lets through is compared once more."""
    unreachable = {"config": None, "host_status": "unreachable"}
    foreign = {"config": {"metadata": METADATA | {"deployment": "d2"}}}
    fly.on(
        "GET",
        MANY,
        Says(
            body=[
                machine(id="1"),
                machine(id="2", **foreign),
                machine(id="3", **unreachable),
                machine(id="4", state="destroyed"),
            ]
        ),
    )
    assert [found.id for found in await client.machines("jarvis", METADATA)] == ["1", "3"]


async def test_volumes(fly, client):
    fly.on("GET", "/jarvis/volumes", Says(body=[{"id": "vol_1", "size_gb": 1}]))
    assert [volume.id for volume in await client.volumes("jarvis")] == ["vol_1"]
