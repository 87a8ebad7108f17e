"""Real versus recorded: what Fly shows beside what our rows say. A pure comparison; nothing is done here.

What is not provably ours is only ever reported: a second control plane with a copy of our database, or another
environment in the same app, must be able to be wrong without costing anybody a Machine.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from provisioner import naming
from provisioner.instance import Instance, State, UserId
from provisioner.ports import Machine, MachineState, Volume

_OURS: Final = re.compile(r"jarvis_([0-9a-f]{12})")


class What(StrEnum):
    """What may be wrong between Fly and the records."""

    ORPHAN_MACHINE = "orphan_machine"
    """Tagged as ours, and its Instance is on no record: its user is gone, or a crash came in between."""
    SURPLUS_MACHINE = "surplus_machine"
    """Its Instance is on record with another Machine."""
    STRANGE_MACHINE = "strange_machine"
    """Tagged with our environment, but not as one of ours should be. Never touched."""
    ORPHAN_APP = "orphan_app"
    """An app of one user, with a Machine or a disk of ours in it, whose Instance is on no record."""
    STRANGE_APP = "strange_app"
    """An app that is called like one of ours and holds nothing that proves it. Never touched."""
    ORPHAN_VOLUME = "orphan_volume"
    """A disk that was in a Machine of ours whose Instance is on no record, and is in none now."""
    STRANGE_VOLUME = "strange_volume"
    """A disk that looks like one of ours and is not provably so. Never touched."""
    GONE_MACHINE = "gone_machine"
    """On record, and Fly has it no more."""
    GONE_VOLUME = "gone_volume"
    """On record, and Fly has it no more: only a snapshot could bring it back. Never touched."""
    ASLEEP = "asleep"
    """Recorded as awake, and asleep at Fly."""
    AWAKE = "awake"
    """Recorded as asleep, and running at Fly: it costs money that nobody sees."""


DESTROYS_MACHINE: Final = (What.ORPHAN_MACHINE, What.SURPLUS_MACHINE)
MENDS: Final = (What.GONE_MACHINE, What.ASLEEP, What.AWAKE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One difference. `resource` is Fly's id of what it is about."""

    resource: str
    what: What
    app: str
    user_id: UserId | None = None
    size_gb: int = 0
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What our database knows of one app. `spoken_for` holds ids of Instances-to-be, Machines and volumes that rows
    other than Instances name: spares, and disks that are kept for a while."""

    instances: Mapping[UUID, Instance]
    spoken_for: Collection[str] = ()
    proven: Mapping[str, UUID] = field(default_factory=dict)
    """Volumes that were seen in a Machine with our tags, and that Machine's Instance."""

    @property
    def hashes(self) -> frozenset[str]:
        """Short hashes of everybody who has a row: no disk of theirs is an orphan."""
        return frozenset(naming.short_hash(instance.user_id) for instance in self.instances.values())


def compare(app: str, machines: Sequence[Machine], volumes: Sequence[Volume], records: Records) -> list[Sighting]:
    """Every difference in `app`. `machines` carry our environment's and deployment's tags."""
    return [
        *_machines(app, machines, records),
        *_volumes(app, machines, volumes, records),
        *_rows(app, machines, volumes, records),
    ]


def _machines(app: str, machines: Iterable[Machine], records: Records) -> Iterable[Sighting]:
    for machine in machines:
        if machine.state in (MachineState.DESTROYING, MachineState.DESTROYED):
            continue
        tag = machine.metadata.get("instance", "")
        if {machine.id, tag, machine.volume_id} & set(records.spoken_for):
            continue
        detail = {"name": machine.name, "state": machine.state.value, "region": machine.region, "instance": tag}
        try:
            instance = records.instances.get(UUID(tag))
        except ValueError:
            yield Sighting(resource=machine.id, what=What.STRANGE_MACHINE, app=app, detail=detail)
            continue
        if instance is None:
            what = What.ORPHAN_MACHINE
        elif instance.machine_id in (None, machine.id):
            continue  # it is the one, or a bring-up is about to find it by its name
        elif machine.volume_id is not None and machine.volume_id == instance.volume_id:
            what = What.STRANGE_MACHINE  # not the one on record, but it holds the user's disk
        else:
            what = What.SURPLUS_MACHINE
        user_id = None if instance is None else instance.user_id
        yield Sighting(resource=machine.id, what=what, app=app, user_id=user_id, detail=detail)


def _volumes(app: str, machines: Iterable[Machine], volumes: Iterable[Volume], records: Records) -> Iterable[Sighting]:
    mounted = {machine.volume_id for machine in machines}
    named = {instance.volume_id for instance in records.instances.values()} | set(records.spoken_for)
    hashes = records.hashes
    for volume in volumes:
        ours = _OURS.fullmatch(volume.name)
        if ours is None or volume.attached_machine_id or volume.id in mounted | named or ours[1] in hashes:
            continue
        owner = records.proven.get(volume.id)
        proven = owner is not None and owner not in records.instances
        detail = {"name": volume.name, "region": volume.region, "state": volume.state}
        what = What.ORPHAN_VOLUME if proven else What.STRANGE_VOLUME
        yield Sighting(resource=volume.id, what=what, app=app, size_gb=volume.size_gb, detail=detail)


def _rows(app: str, machines: Iterable[Machine], volumes: Iterable[Volume], records: Records) -> Iterable[Sighting]:
    real = {machine.id: machine for machine in machines}
    disks = {volume.id for volume in volumes}
    for instance in records.instances.values():
        if instance.app_name != app or instance.state is State.DELETING:
            continue
        detail = {"state": instance.state.value}
        if instance.volume_id is not None and instance.volume_id not in disks:
            yield Sighting(
                resource=instance.volume_id, what=What.GONE_VOLUME, app=app, user_id=instance.user_id, detail=detail
            )
        if instance.machine_id is None:
            continue
        machine = real.get(instance.machine_id)
        what = What.GONE_MACHINE if machine is None else _drift(instance.state, machine)
        if what is not None:
            seen = {} if machine is None else {"at_fly": machine.state.value}
            yield Sighting(
                resource=instance.machine_id, what=what, app=app, user_id=instance.user_id, detail={**detail, **seen}
            )


def _drift(state: State, machine: Machine) -> What | None:
    if not machine.host_ok:
        return None  # what Fly says of it is a memory
    if state is State.ACTIVE and machine.state in (MachineState.SUSPENDED, MachineState.STOPPED):
        return What.ASLEEP
    if state in (State.SUSPENDED, State.STOPPED) and machine.state is MachineState.STARTED:
        return What.AWAKE
    return None
