"""Disks that move away from full and lost hosts, and new users from full regions, on a real Postgres and local Fly."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.database import Database
from localcloud.fly import LocalFly
from provisioner.errors import HostLost, ProvisioningFailed
from provisioner.instance import Instance, State
from provisioner.lifecycle import Visitor
from provisioner.plan import Patience
from tests.parts.back import APP, SETTINGS, TOKEN, Back, back_of_house, somebody
from tests.parts.local_fly import FlyCaller


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    settings = replace(
        SETTINGS,
        fallback_regions=("ewr", "ord"),
        patience=Patience(host=timedelta(0)),
        bring_up_within=timedelta(seconds=20),
    )
    async with back_of_house(database, tmp_path, settings=settings) as back:
        yield back


def full(action: str, scope: str, times: int = 1) -> dict[str, object]:
    return {"match": {"action": action}, "times": times, "fault": {"kind": "capacity", "scope": scope}}


def note_on(fly: LocalFly, volume_id: str | None) -> Path:
    """A file on that disk."""
    assert volume_id is not None
    return fly.world.disk.volume(volume_id) / "note.txt"


def somebody_of(instance: Instance) -> Visitor:
    return Visitor(instance.user_id, instance.email)


async def asleep(back: Back) -> tuple[Instance, FlyCaller]:
    """Somebody whose Machine is stopped, with a note on its disk."""
    ada = somebody()
    instance = await back.ready(ada)
    note_on(back.fly, instance.volume_id).write_text("do not lose me")
    return await back.lifecycle.stop(ada.user_id, actor="test"), FlyCaller(back.fly.url, TOKEN)


async def test_a_disk_on_a_full_host_is_forked_to_another_and_the_old_one_is_kept(back: Back) -> None:
    """Nothing is lost, nothing is destroyed, and there is one Machine."""
    before, _ = await asleep(back)
    back.fly.faults.add(full("start_machine", "host", times=3))
    after = await back.ready(somebody_of(before))
    assert after.state is State.ACTIVE
    assert after.volume_id != before.volume_id
    assert note_on(back.fly, after.volume_id).read_text() == "do not lose me"
    (kept,) = await back.store.kept_volumes(before.user_id)
    assert (kept.volume_id, kept.app_name) == (before.volume_id, APP)
    assert note_on(back.fly, before.volume_id).exists()
    assert [m.id for m in await back.cloud.machines(APP, {"instance": str(before.id)})] == [after.machine_id]
    await back.lifecycle.destroy(before.user_id, actor="eraser")
    assert await back.cloud.volumes(APP) == []
    assert await back.store.kept_volumes() == []


async def test_a_disk_on_a_lost_host_is_restored_from_its_latest_snapshot(back: Back) -> None:
    before, call = await asleep(back)
    async with call as fly:
        assert (await fly("POST", f"/apps/{APP}/volumes/{before.volume_id}/snapshots"))[0] == 200
        note_on(back.fly, before.volume_id).write_text("written after the snapshot")
        await fly("PUT", f"/_local/machines/{before.machine_id}/host", {"status": "unreachable"})
    after = await back.ready(somebody_of(before))
    assert after.state is State.ACTIVE
    assert note_on(back.fly, after.volume_id).read_text() == "do not lose me"
    assert note_on(back.fly, before.volume_id).read_text() == "written after the snapshot"
    assert [kept.volume_id for kept in await back.store.kept_volumes()] == [before.volume_id]
    assert after.host_down_since is None


async def test_without_a_snapshot_nothing_is_given_up_and_the_user_is_told(back: Back) -> None:
    before, call = await asleep(back)
    async with call as fly:
        where = f"/_local/machines/{before.machine_id}/host"
        await fly("PUT", where, {"status": "unreachable"})
        with pytest.raises(HostLost) as lost:
            await back.ready(somebody_of(before))
        assert "out of reach" in lost.value.words
        await fly("PUT", where, {"status": "ok"})
    after = await back.ready(somebody_of(before))
    assert (after.volume_id, after.machine_id) == (before.volume_id, before.machine_id)


async def test_a_new_user_is_served_from_the_next_region_when_the_first_is_full(back: Back) -> None:
    back.fly.faults.add(full("create_machine", "region"))
    ada = await back.ready(somebody())
    assert ada.region == "ewr"
    assert [(v.id, v.region) for v in await back.cloud.volumes(APP)] == [(ada.volume_id, "ewr")]


async def test_when_every_region_is_full_the_user_waits_in_the_queue(back: Back) -> None:
    back.fly.faults.add(full("create_volume", "region", times=9))
    with pytest.raises(ProvisioningFailed, match="no room"):
        await back.ready(somebody())
    assert back.fly.calls.counts["create_volume"] == 3
    assert await back.cloud.volumes(APP) == []


async def test_a_disk_that_vanishes_before_anybody_used_it_is_made_anew(back: Back) -> None:
    ada = somebody()
    back.fly.faults.add({"match": {"action": "create_machine"}, "times": 5, "fault": {"kind": "status", "status": 400}})
    with pytest.raises(ProvisioningFailed):
        await back.ready(ada)
    before = await back.store.find(ada.user_id)
    assert before is not None
    assert before.volume_id is not None
    await back.cloud.delete_volume(APP, before.volume_id)
    until = back.parts.clock.monotonic() + 60
    after = await back.lifecycle.ensure_ready(ada, deadline=until, force=True)
    assert after.state is State.ACTIVE
    assert [volume.id for volume in await back.cloud.volumes(APP)] == [after.volume_id]
