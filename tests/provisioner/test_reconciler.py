"""Fly beside the records: what drifted is mended, what is nobody's goes, and what is not provably ours stays."""

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from localcloud.database import Database
from provisioner import naming
from provisioner.instance import Instance, Isolation, MachineId, State
from provisioner.lifecycle import Visitor
from provisioner.offer import shipped
from provisioner.ports import Guest, Machine, MachineSpec, MachineState, Volume
from provisioner.reconcile import Records, What, compare
from provisioner.reconciler import Reap, Reconciler, ReconcileSettings
from provisioner.store.sightings import SightingTable
from tests.parts.back import APP, IMAGE, SETTINGS, Back, back_of_house, somebody
from tests.parts.instances import ADA, GRACE, an_instance

ID = an_instance().id
OTHER = uuid4()


def machine(id: str = "148e000000000a", *, instance: object = ID, **given: Any) -> Machine:
    values: dict[str, Any] = {
        "id": MachineId(id),
        "name": "jarvis-test-0123456789ab",
        "state": MachineState.STARTED,
        "region": "fra",
        "version": "v",
        "private_ip": "::1",
        "volume_id": "vol_1",
        "image": "golden",
        "metadata": {"gateway_env": "test", "deployment": "tests", "instance": str(instance)},
        "host_ok": True,
    }
    return Machine(**{**values, **given})


def volume(id: str = "vol_1", *, name: str | None = None, attached: str | None = None) -> Volume:
    return Volume(
        id=id,
        name=name or naming.volume_name(GRACE),
        state="created",
        region="fra",
        size_gb=2,
        attached_machine_id=None if attached is None else MachineId(attached),
    )


def seen(machines: list[Machine], volumes: list[Volume], *instances: Instance, **known: Any) -> list[tuple[str, What]]:
    records = Records(instances={instance.id: instance for instance in instances}, **known)
    return [(each.resource, each.what) for each in compare("jarvis-machines", machines, volumes, records)]


def test_what_is_as_recorded_is_no_finding() -> None:
    assert seen([machine()], [volume(attached="148e000000000a")], an_instance()) == []
    assert seen([machine()], [volume()], an_instance(machine_id=None, state=State.PROVISIONING)) == []
    assert seen([], [volume()], an_instance(state=State.DELETING)) == []


@pytest.mark.parametrize(
    ("found", "rows", "known", "what"),
    [
        ([machine()], [], {}, What.ORPHAN_MACHINE),
        ([machine(instance="martian")], [], {}, What.STRANGE_MACHINE),
        ([machine("b", volume_id="vol_2"), machine()], [an_instance()], {}, What.SURPLUS_MACHINE),
        ([machine("b"), machine(volume_id=None)], [an_instance()], {}, What.STRANGE_MACHINE),  # holds the user's disk
        ([machine()], [], {"spoken_for": {"148e000000000a"}}, None),
        ([machine()], [], {"spoken_for": {str(ID)}}, None),
        ([machine(state=MachineState.DESTROYING)], [], {}, None),
        ([], [an_instance()], {}, What.GONE_MACHINE),
        ([machine(state=MachineState.SUSPENDED)], [an_instance()], {}, What.ASLEEP),
        ([machine()], [an_instance(state=State.STOPPED)], {}, What.AWAKE),
        ([machine(host_ok=False)], [an_instance(state=State.STOPPED)], {}, None),
        ([machine(state=MachineState.SUSPENDED)], [an_instance(state=State.WAKING)], {}, None),
    ],
)
def test_machines(found: list[Machine], rows: list[Instance], known: dict[str, Any], what: What | None) -> None:
    told = [each for _, each in seen(found, [volume()], *rows, **known) if "volume" not in each]
    assert told == ([] if what is None else [what])


@pytest.mark.parametrize(
    ("disk", "proven", "spoken", "what"),
    [
        (volume("vol_9"), {"vol_9": OTHER}, (), What.ORPHAN_VOLUME),
        (volume("vol_9"), {}, (), What.STRANGE_VOLUME),  # looks like ours, and nothing proves it
        (volume("vol_9"), {"vol_9": ID}, (), What.STRANGE_VOLUME),  # of an Instance that lives
        (volume("vol_9", name=naming.volume_name(ADA)), {"vol_9": OTHER}, (), None),  # of a user who has a row
        (volume("vol_9", attached="m"), {"vol_9": OTHER}, (), None),
        (volume("vol_9"), {"vol_9": OTHER}, ("vol_9",), None),
        (volume("vol_9", name="postgres_data"), {"vol_9": OTHER}, (), None),
        (volume("vol_1"), {"vol_1": OTHER}, (), None),  # named by a row
    ],
)
def test_volumes(disk: Volume, proven: dict[str, UUID], spoken: Collection[str], what: What | None) -> None:
    disks = [disk] if disk.id == "vol_1" else [disk, volume("vol_1", name="x", attached="148e000000000a")]
    told = seen([machine()], disks, an_instance(), proven=proven, spoken_for=spoken)
    assert told == ([] if what is None else [(disk.id, what)])


def test_a_disk_that_is_gone_is_told_and_never_touched() -> None:
    assert seen([machine(volume_id=None)], [], an_instance()) == [("vol_1", What.GONE_VOLUME)]


# -- on real parts


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


async def nobody() -> Collection[str]:
    return ()


def reconciler(back: Back, reap: Reap = Reap.VOLUMES, grace: timedelta = timedelta(0)) -> Reconciler:
    return Reconciler(
        back.parts,
        back.lifecycle,
        SightingTable(back.pool, back.parts.clock),
        ReconcileSettings(reap=reap, grace=grace),
        prices=shipped().prices,
        spoken_for=nobody,
    )


async def lose_the_row(back: Back, visitor: Visitor) -> None:
    await back.pool.execute("delete from user_instances where user_id = $1", visitor.user_id)


async def stranger(back: Back, **tags: str) -> Machine:
    """A Machine in our app that somebody else made."""
    disk = await back.cloud.create_volume(APP, name="theirs", region="iad", size_gb=1, guest=Guest())
    spec = MachineSpec(
        name=f"m-{uuid4().hex[:8]}",
        region="iad",
        image=IMAGE,
        guest=Guest(),
        volume_id=disk.id,
        env={},
        metadata=tags,
    )
    return await back.cloud.create_machine(APP, spec)


async def test_orphans_go_after_two_sightings_and_nothing_of_others_does(back: Back) -> None:
    """What a crash left behind costs nothing for long; what belongs to anybody else is safe from us."""
    ada, ben = somebody("ada"), somebody("ben")
    orphan, kept = await back.ready(ada), await back.ready(ben)
    other = await stranger(back, gateway_env="staging", deployment="tests", instance=str(uuid4()))
    bare = await stranger(back)
    once = reconciler(back)
    assert await once.round() == []
    await lose_the_row(back, ada)
    (finding,) = await once.round()
    assert (finding.sighting.what, finding.outcome) == (What.ORPHAN_MACHINE, None)
    assert finding.usd_per_month > 0
    assert await machines(back) >= {orphan.machine_id}  # seen once: it may be a bring-up that we do not know of
    await once.round()
    assert await machines(back) == {kept.machine_id, other.id, bare.id}
    for _ in range(2):  # now its disk is in no Machine any more
        await once.round()
    names = {each.name for each in await back.cloud.volumes(APP)}
    assert naming.volume_name(ada.user_id) not in names
    assert {naming.volume_name(ben.user_id), "theirs"} <= names
    assert await once.round() == []
    assert await once.findings() == []
    reaped = await back.pool.fetch("select detail->>'what' from gateway.audit_log where action = 'reap' order by id")
    assert [row[0] for row in reaped] == ["orphan_machine", "orphan_volume"]


async def machines(back: Back) -> set[str | None]:
    return {each.id for each in await back.cloud.machines(APP, {})}


async def test_an_app_that_nobody_has_on_record_goes_with_all_that_is_in_it(database: Database, tmp_path: Path) -> None:
    """One app each: a user whose row is lost leaves no network, no Machine and no disk behind; others' apps stay."""
    async with back_of_house(database, tmp_path, settings=replace(SETTINGS, isolation=Isolation.APP)) as back:
        ada, ben = somebody("ada"), somebody("ben")
        orphan, kept = await back.ready(ada), await back.ready(ben)
        bare = naming.network_name(bare_id := uuid4())
        await back.cloud.create_app(naming.app_name(SETTINGS.env, ada.user_id, bare_id), network=bare)
        await lose_the_row(back, ada)
        bold = reconciler(back)
        for _ in range(3):
            found = await bold.round()
        assert [each.sighting.what for each in found] == [What.STRANGE_APP]  # empty: it may be anybody's
        left = set(await back.cloud.apps())
        assert orphan.app_name not in left
        assert {APP, kept.app_name, naming.app_name(SETTINGS.env, ada.user_id, bare_id)} <= left
        assert (await back.ready(ben)).machine_id == kept.machine_id


@pytest.mark.parametrize("reap", [Reap.REPORT, Reap.MACHINES])
async def test_no_more_is_touched_than_the_operator_allows(back: Back, reap: Reap) -> None:
    """Dry run first: the list of what would go, with what it costs."""
    ada = somebody()
    orphan = await back.ready(ada)
    careful = reconciler(back, reap)
    await careful.round()
    await lose_the_row(back, ada)
    for _ in range(5):
        await careful.round()
    assert (orphan.machine_id in await machines(back)) is (reap is Reap.REPORT)
    assert [each.name for each in await back.cloud.volumes(APP)] == [naming.volume_name(ada.user_id)]
    (finding,) = await careful.findings()
    assert finding.outcome == f"left alone: REAP is `{reap}`"


async def test_nothing_goes_within_the_grace(back: Back) -> None:
    ada = somebody()
    orphan = await back.ready(ada)
    await lose_the_row(back, ada)
    patient = reconciler(back, grace=timedelta(minutes=15))
    for _ in range(4):
        found = await patient.round()
    assert [each.times for each in found] == [4]
    assert orphan.machine_id in await machines(back)


async def test_a_machine_that_is_gone_is_made_anew_on_its_disk(back: Back) -> None:
    """Somebody destroyed it by hand: my next visit finds my files."""
    ada = somebody()
    before = await back.ready(ada)
    assert before.machine_id is not None
    await back.cloud.destroy(APP, before.machine_id)
    watcher = reconciler(back)
    for _ in range(2):
        await watcher.round()
    found = await back.store.find(ada.user_id)
    assert found is not None
    assert (found.state, found.machine_id, found.volume_id) == (State.STOPPED, None, before.volume_id)
    after = await back.ready(ada)
    assert after.machine_id not in (None, before.machine_id)
    assert after.volume_id == before.volume_id


async def test_what_sleeps_or_runs_behind_our_back_is_recorded_or_put_back(back: Back) -> None:
    """The record says what is true, and nobody pays for a Machine that nobody woke."""
    asleep, awake = somebody("asleep"), somebody("awake")
    one, two = await back.ready(asleep), await back.ready(awake)
    await back.lifecycle.suspend(awake.user_id, actor="test")
    for instance, act in ((one, back.cloud.suspend), (two, back.cloud.start)):
        assert instance.machine_id is not None
        await act(APP, instance.machine_id)
    await settled(back, one, MachineState.SUSPENDED)
    await settled(back, two, MachineState.STARTED)
    watcher = reconciler(back)
    for _ in range(2):
        await watcher.round()
    found = await back.store.find(asleep.user_id)
    assert found is not None
    assert found.state is State.SUSPENDED
    await settled(back, two, MachineState.SUSPENDED)


async def settled(back: Back, instance: Instance, state: MachineState) -> None:
    assert instance.machine_id is not None
    seen = await back.cloud.machine(APP, instance.machine_id)
    assert seen is not None
    assert await back.cloud.wait(APP, seen, [state], timeout=timedelta(seconds=20)) is state


async def test_a_round_is_done_by_one_replica_at_a_time(back: Back) -> None:
    table = SightingTable(back.pool, back.parts.clock)
    assert await table.take_round("x", owner="one", every=timedelta(hours=1))
    assert not await table.take_round("x", owner="two", every=timedelta(hours=1))
    await back.pool.execute("update gateway.rounds set next_at = now() - interval '1 second'")
    assert await table.take_round("x", owner="two", every=timedelta(hours=1))


def test_settings_are_careful_by_default() -> None:
    """Disks hold somebody's data: only the operator's word opens them to the reaper."""
    assert ReconcileSettings().reap is Reap.MACHINES
    assert ReconcileSettings().grace > SETTINGS.bring_up_within
