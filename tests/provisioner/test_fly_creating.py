"""One Machine, however often it is asked for and however much of the answer is lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.errors import (
    CloudBroken,
    CloudSilent,
    NameTaken,
    WrongState,
)
from provisioner.ports import Guest, MachineState
from tests.parts.scripted_fly import (
    ID,
    MANY,
    METADATA,
    ONE,
    SPEC,
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

LOST = [Drops(), refusal(500, "internal"), refusal(503, ""), refusal(408, "request timed out"), Says(200, "<html>")]
DUPLICATE = refusal(
    409,
    f'already_exists: unique machine name violation, machine ID {ID} already exists with name "{SPEC.name}"',
)


async def test_makes_a_machine(fly, client):
    fly.on("POST", MANY, Says(body=machine()))
    made = await client.create_machine("jarvis", SPEC)
    assert (made.id, made.state, made.private_ip) == (ID, MachineState.CREATED, "fdaa:0:1::2")
    assert [asked.method for asked in fly.asked] == ["POST"]


async def test_adopts_its_own_duplicate(fly, client):
    """Two replicas race for one user's first Machine: both get the same one."""
    fly.on("POST", MANY, DUPLICATE)
    fly.on("GET", ONE, refusal(404, "not found"), Says(body=machine()))
    assert (await client.create_machine("jarvis", SPEC)).id == ID


async def test_finds_its_duplicate_by_name_where_fly_does_not_say_the_id(fly, client):
    fly.on("POST", MANY, refusal(422, "taken", "name_taken"))
    fly.on("GET", MANY, Says(body=[machine(id="1", name="other"), machine()]))
    assert (await client.create_machine("jarvis", SPEC)).id == ID


@pytest.mark.parametrize(
    "metadata", [{}, METADATA | {"instance": "i-2"}, METADATA | {"deployment": "d2"}, {"instance": "i-1"}]
)
async def test_never_adopts_what_is_somebody_elses(fly, client, metadata):
    foreign = machine(config={"metadata": metadata})
    fly.on("POST", MANY, DUPLICATE)
    fly.on("GET", ONE, Says(body=foreign))
    with pytest.raises(NameTaken) as taken:
        await client.create_machine("jarvis", SPEC)
    assert taken.value.machine_id == ID


async def test_never_adopts_without_saying_for_whom(fly, client):
    fly.on("POST", MANY, DUPLICATE)
    fly.on("GET", ONE, Says(body=machine(config={"metadata": {}})))
    with pytest.raises(NameTaken):
        await client.create_machine("jarvis", replace(SPEC, metadata={}))


@pytest.mark.parametrize("state", ["destroying", "destroyed", "launch_failed"])
async def test_does_not_adopt_what_is_on_its_way_out(fly, client, state):
    fly.on("POST", MANY, DUPLICATE)
    fly.on("GET", ONE, Says(body=machine(state=state)))
    with pytest.raises(WrongState) as going:
        await client.create_machine("jarvis", SPEC)
    assert going.value.current == state


async def test_gives_up_on_a_duplicate_that_nobody_can_see(fly, client, clock):
    fly.on("POST", MANY, DUPLICATE)
    fly.on("GET", ONE, refusal(404, "not found"))
    with pytest.raises(NameTaken):
        await client.create_machine("jarvis", SPEC)
    assert clock.monotonic() <= 2


@pytest.mark.parametrize("lost", [*LOST, Hangs()])
async def test_finds_what_a_lost_answer_has_made(fly, client, clock, lost):
    """The connection broke after Fly made the Machine: a retry must not make a second one."""
    fly.on("POST", MANY, lost)
    fly.on("GET", MANY, Says(body=[]), Says(body=[machine(name="older"), machine()]))
    assert (await client.create_machine("jarvis", SPEC)).id == ID
    assert (len(fly.requests("POST")), clock.slept) == (1, [1, 1])
    assert fly.requests("GET")[0].params == [(f"metadata.{key}", value) for key, value in METADATA.items()]


@pytest.mark.parametrize("lost", LOST)
async def test_tells_the_first_failure_if_nothing_was_made(fly, client, lost):
    fly.on("POST", MANY, lost)
    fly.on("GET", MANY, Says(body=[machine(state="destroyed"), machine(name="other")]), refusal(500, "list"))
    with pytest.raises((CloudSilent, CloudBroken), match="create_machine") as first:
        await client.create_machine("jarvis", SPEC)
    assert not first.value.sure


async def test_makes_a_machine_that_may_take_a_moment_to_be_seen(fly, client, clock):
    fly.on("POST", MANY, Says(body=machine()))
    fly.on("GET", ONE, refusal(404, ""), refusal(404, ""), Says(body=machine(state="started")))
    fly.on("GET", f"{ONE}/wait", refusal(404, ""), Says(body={"ok": True, "state": "started"}))
    made = await client.create_machine("jarvis", SPEC)
    assert (
        await client.wait("jarvis", made, [MachineState.STARTED], timeout=timedelta(seconds=5)) is MachineState.STARTED
    )
    assert (await client.machine("jarvis", made.id)).state is MachineState.STARTED


async def test_makes_a_volume(fly, client):
    made = {"id": "vol_1", "name": "jarvis_data", "state": "created", "region": "ams", "size_gb": 1}
    fly.on("POST", "/jarvis/volumes", Says(body=made))
    volume = await client.create_volume("jarvis", name="jarvis_data", region="ams", size_gb=1, guest=Guest())
    assert (volume.id, volume.region) == ("vol_1", "ams")


async def test_does_not_make_a_second_volume_when_the_answer_is_lost(fly, client):
    fly.on("POST", "/jarvis/volumes", Drops())
    with pytest.raises(CloudSilent):
        await client.create_volume("jarvis", name="jarvis_data", region="ams", size_gb=1, guest=Guest())
    assert len(fly.asked) == 1
