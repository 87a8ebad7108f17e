"""A change of plan reaches the Machine at its next sleep: on a real Postgres, a local Fly and real Machines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.database import Database
from provisioner.instance import Instance, State
from provisioner.ports import Machine, MachineState
from tests.parts.back import APP, TOKEN, Back, back_of_house, somebody
from tests.parts.local_fly import FlyCaller


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


async def machine_of(back: Back, instance: Instance) -> Machine:
    assert instance.machine_id is not None
    machine = await back.cloud.machine(APP, instance.machine_id)
    assert machine is not None
    return machine


def disk_of(back: Back, instance: Instance, tmp_path: Path) -> Path:
    [folder] = [path for path in (tmp_path / "fly").rglob(str(instance.volume_id)) if path.is_dir()]
    return folder


async def volume_gb(back: Back, instance: Instance) -> int:
    [volume] = [volume for volume in await back.cloud.volumes(APP) if volume.id == instance.volume_id]
    return volume.size_gb


async def test_a_machine_is_made_as_the_plan_says(back: Back) -> None:
    ada, plans = somebody(), back.parts.plans
    plans.in_force(ada.user_id, "pro")
    instance = await back.ready(ada)
    pro = plans.named("pro")
    assert (instance.guest, instance.volume_gb) == (pro.guest, pro.volume_gb)
    assert (await machine_of(back, instance)).guest == pro.guest
    assert await volume_gb(back, instance) == pro.volume_gb


async def test_the_next_sleep_after_an_upgrade_changes_the_machine_and_keeps_every_file(
    back: Back, tmp_path: Path
) -> None:
    """Somebody pays more: tomorrow they have more memory and more disk, and find everything where it was."""
    ada, plans = somebody(), back.parts.plans
    before = await back.ready(ada)
    (disk_of(back, before, tmp_path) / "thesis.txt").write_text("chapter one")
    plans.in_force(ada.user_id, "enterprise")
    assert (await back.ready(ada)).guest == plans.named("free").guest  # not under their hands
    asleep = await back.lifecycle.suspend(ada.user_id, actor="test")
    wanted = plans.named("enterprise")
    assert (asleep.state, asleep.guest, asleep.volume_gb) == (State.STOPPED, wanted.guest, wanted.volume_gb)
    assert (await machine_of(back, asleep)).guest == wanted.guest
    assert await volume_gb(back, asleep) == wanted.volume_gb
    woken = await back.ready(ada)
    assert (woken.machine_id, woken.volume_id) == (before.machine_id, before.volume_id)
    assert (disk_of(back, woken, tmp_path) / "thesis.txt").read_text() == "chapter one"
    assert (await back.lifecycle.suspend(ada.user_id, actor="test")).state is State.SUSPENDED  # it fits: as ever


async def test_after_a_downgrade_the_machine_is_smaller_and_the_disk_as_it_was(back: Back) -> None:
    ada, plans = somebody(), back.parts.plans
    plans.in_force(ada.user_id, "pro")
    await back.ready(ada)
    plans.in_force(ada.user_id, None)
    asleep = await back.lifecycle.suspend(ada.user_id, actor="test")
    assert (asleep.guest, asleep.volume_gb) == (plans.named("free").guest, 5)
    assert await volume_gb(back, asleep) == 5


async def test_a_suspended_machine_keeps_its_memory_until_it_would_lose_it_anyway(back: Back) -> None:
    """Fly drops the snapshot of a Machine that is changed, so the change waits for the second stage of sleep."""
    ada, plans = somebody(), back.parts.plans
    await back.ready(ada)
    asleep = await back.lifecycle.suspend(ada.user_id, actor="test")
    plans.in_force(ada.user_id, "pro")
    assert (await machine_of(back, asleep)).state is MachineState.SUSPENDED
    assert (await back.lifecycle.suspend(ada.user_id, actor="test")).state is State.SUSPENDED
    stopped = await back.lifecycle.stop(ada.user_id, actor="test")
    assert (stopped.state, stopped.guest) == (State.STOPPED, plans.named("pro").guest)
    assert (await machine_of(back, stopped)).guest == plans.named("pro").guest


async def test_what_fly_refuses_is_tried_at_the_next_sleep_and_keeps_nobody_awake(back: Back) -> None:
    ada, plans = somebody(), back.parts.plans
    await back.ready(ada)
    plans.in_force(ada.user_id, "pro")
    full = {"kind": "capacity", "scope": "host"}
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        await fly("POST", "/_local/faults", {"match": {"action": "update_machine"}, "fault": full})
    asleep = await back.lifecycle.suspend(ada.user_id, actor="test")
    assert (asleep.state, asleep.guest) == (State.STOPPED, plans.named("free").guest)
    await back.ready(ada)
    assert (await back.lifecycle.suspend(ada.user_id, actor="test")).guest == plans.named("pro").guest


async def test_an_update_whose_answer_was_lost_is_found_done(back: Back) -> None:
    ada, plans = somebody(), back.parts.plans
    await back.ready(ada)
    plans.in_force(ada.user_id, "pro")
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        await fly("POST", "/_local/faults", {"match": {"action": "update_machine"}, "fault": {"kind": "lost_answer"}})
    asleep = await back.lifecycle.suspend(ada.user_id, actor="test")
    assert asleep.guest == plans.named("pro").guest == (await machine_of(back, asleep)).guest
    assert back.fly.calls.counts["update_machine"] == 1
