"""What the use cases need of the outside: a cloud that runs Machines, a store that remembers Instances.

The adapters in `provisioner.fly` and `provisioner.store` fit these shapes; use cases import only this file.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from provisioner.idle import Candidate
from provisioner.instance import Event, Instance, Isolation, MachineId, State, UserId
from provisioner.instance import Guest as Guest  # a word of the ports too


class MachineState(StrEnum):
    """Fly's words for a Machine (facts: machine-states page). UNKNOWN stands for any word we have not met."""

    CREATED = "created"
    CREATING = "creating"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    RESTARTING = "restarting"
    UPDATING = "updating"
    REPLACING = "replacing"
    REPLACED = "replaced"
    MIGRATED = "migrated"
    FAILED = "failed"
    LAUNCH_FAILED = "launch_failed"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """What to create. `image` is pinned by digest in production."""

    name: str
    region: str
    image: str
    guest: Guest
    volume_id: str
    env: Mapping[str, str] = field(repr=False)  # holds the Guard's keys and the broker token
    metadata: Mapping[str, str]
    service_port: int | None = None
    """Offered to Fly Proxy as a plain TCP port, for an app with a Flycast address. None: no service at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A Machine as Fly last described it. `version` is Fly's `instance_id`, which waits need."""

    id: MachineId
    name: str
    state: MachineState
    region: str
    version: str
    private_ip: str | None
    volume_id: str | None
    image: str
    metadata: Mapping[str, str]
    host_ok: bool
    guest: Guest | None = None
    """None where Fly does not say: its host cannot be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A disk. It pins its Machine to one physical host in `region`."""

    id: str
    name: str
    state: str
    region: str
    size_gb: int
    attached_machine_id: MachineId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSource:
    """Where a new volume has its data from. Exactly one of them: a volume, as it is now, or a snapshot."""

    volume_id: str | None = None
    snapshot_id: str | None = None


class Cloud(Protocol):
    """Fly, as far as we use it. Every call may raise any CloudError; cancelling one leaves its outcome unknown."""

    async def create_app(self, app: str, *, network: str) -> str:
        """Fly's id of the app of this name in this network, made now or found.

        Raises NameTaken if it is in another network or another organisation: then it is not ours.
        """

    async def apps(self) -> Mapping[str, str]:
        """The networks of all apps of our organisation, by their names. Needs a token of the whole organisation."""

    async def assign_address(self, app: str, *, network: str) -> str:
        """The app's Flycast address, assigned now or found. It is reached from `network`, "" being the default one."""

    async def delete_app(self, app: str, *, network: str) -> None:
        """Return when the app is gone, with all that was in it. Idempotent.

        One that is in another network, or another organisation's, is not ours and left alone. Raises CloudSilent if
        it is still there after a while.
        """

    async def create_volume(
        self, app: str, *, name: str, region: str, size_gb: int, guest: Guest, source: VolumeSource | None = None
    ) -> Volume:
        """Empty, or with the data of `source`. Not idempotent, as names of volumes are not unique."""

    async def latest_snapshot(self, app: str, volume_id: str) -> str | None:
        """The id of the newest one that is finished; None if there is none."""

    async def volumes(self, app: str) -> Sequence[Volume]: ...
    async def delete_volume(self, app: str, volume_id: str) -> None:
        """Idempotent: a volume that is already gone is success."""

    async def extend_volume(self, app: str, volume_id: str, size_gb: int) -> None:
        """Let it grow to `size_gb`; its Machine sees that at its next boot. Success if it is as large or larger."""

    async def create_machine(self, app: str, spec: MachineSpec) -> Machine:
        """Create it, or adopt the one that has this name and this `instance` metadata.

        Raises NameTaken if a Machine of this name carries other metadata.
        """

    async def machine(self, app: str, machine_id: MachineId) -> Machine | None:
        """The Machine as it is now; None for 404 and `destroyed`."""

    async def machines(self, app: str, metadata: Mapping[str, str]) -> Sequence[Machine]: ...
    async def update(self, app: str, machine_id: MachineId, *, image: str, guest: Guest) -> Machine:
        """Another image or size for a Machine that is at rest and stays so; everything else of its config is kept.

        Success without a change if it is as wanted. A suspended one loses its snapshot and is stopped then. Returns
        before Fly is done: `wait` with the answer. Raises WrongState for one that runs, or whose host is away.
        """

    async def start(self, app: str, machine_id: MachineId) -> bool:
        """Success also if it is `started` or `starting` already.

        True: it was suspended and comes up where it slept, by Fly's word. Whether its memory is good, nobody says.
        """

    async def stop(self, app: str, machine_id: MachineId, *, signal: str, timeout: timedelta) -> None: ...
    async def suspend(self, app: str, machine_id: MachineId) -> None: ...
    async def wait(
        self, app: str, machine: Machine, states: Sequence[MachineState], *, timeout: timedelta
    ) -> MachineState:
        """The state reached. `timeout` is clamped to Fly's 1–60 s; raises WrongState when it runs out."""

    async def destroy(self, app: str, machine_id: MachineId) -> None:
        """Force. Idempotent: a Machine that is already gone is success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVolume:
    """A volume that a user's data moved away from. It is theirs until the account goes, and destroyed with it."""

    volume_id: str
    app_name: str
    user_id: UserId
    reason: str
    kept_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one replica to work on one Instance until `until`. `fence` only ever grows."""

    user_id: UserId
    owner: str
    fence: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A failed provisioning in the queue. `place` counts from 1 among those that wait, users before the rest.

    `retry_count` is 0 after the first failure; `error` is written for the user, `cause` has Fly's own words for the
    operator. A `dead` one was given up: it has no place, and nobody tries it before a visit after `next_retry_at`, or
    somebody who insists.
    """

    user_id: UserId
    email: str
    error: str
    cause: str | None
    retry_count: int
    next_retry_at: datetime
    place: int | None
    since: datetime
    dead: bool = False
    background: bool = False

    @property
    def attempts(self) -> int:
        """How often it was tried, in vain each time."""
        return self.retry_count + 1


@dataclass(frozen=True, slots=True)
class Usual:
    """How long a step took lately, in seconds: half of the runs needed at most `median_s`, 95 of 100 `p95_s`."""

    median_s: float
    p95_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """A user's latest activity."""

    user_id: UserId
    at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """Somebody's Instance is not what it was. `state` is the one it was left in; None if it is gone, or not known."""

    user_id: UserId
    state: State | None


class Store(Protocol):
    """Postgres, as far as we use it. Every call is one transaction."""

    async def create(
        self,
        user_id: UserId,
        *,
        email: str,
        app_name: str,
        machine_name: str,
        region: str,
        image: str,
        actor: str,
        isolation: Isolation = Isolation.MACHINE,
        id: UUID | None = None,
    ) -> Instance:
        """The user's row, made now in PROVISIONING (with its audit row) or found. Safe to race: one row wins.

        `id` is the Instance's, where its names depend on it; None lets the database choose.

        Raises NameTaken if another user's Instance has this Machine name.
        """

    async def find(self, user_id: UserId) -> Instance | None: ...

    async def page(
        self, *, state: State | None = None, after: UserId | None = None, limit: int = 100
    ) -> Sequence[Instance]:
        """In order of user_id, for paging by `after`."""

    async def move(
        self,
        user_id: UserId,
        state: State,
        event: Event,
        *,
        actor: str,
        lease: Lease | None = None,
        detail: Mapping[str, object] | None = None,
        error: str | None = None,
    ) -> Instance:
        """Take one step of STEPS as a compare-and-set, with its audit row in the same transaction.

        `error` is written to the row (None clears it). With `lease`, the step is taken only while that very lease
        (owner and fence) is the current one. Raises IllegalStep before asking, Moved if the row was elsewhere.
        """

    async def record(
        self,
        lease: Lease,
        *,
        app_id: str | None = None,
        flycast_ip: str | None = None,
        volume_id: str | None = None,
        machine_id: MachineId | None = None,
        private_ip: str | None = None,
        region: str | None = None,
        guest: Guest | None = None,
        volume_gb: int | None = None,
    ) -> Instance:
        """Write back ids as soon as they are known, and sizes; None leaves a column as it is. Raises Moved."""

    async def forget_machine(self, lease: Lease) -> Instance:
        """The Machine is gone at Fly: clear machine_id and private_ip, keep the volume. Raises Moved."""

    async def note_host(self, lease: Lease, *, down_since: datetime | None) -> Instance:
        """Since when its host is out of reach, None that it is not. Raises Moved."""

    async def exchange_volume(self, lease: Lease, *, volume_id: str, region: str, reason: str) -> Instance:
        """Another volume holds the data from now on; the old one becomes a KeptVolume, and the Machine that hung on
        it is forgotten. With an audit row. Raises Moved, also while it counts as serving."""

    async def drop_volume(self, lease: Lease, *, region: str) -> Instance:
        """The empty volume of a first provisioning is gone; the next is made in `region`. With an audit row.

        Raises Moved, also for one that is not PROVISIONING or has a Machine: its volume may hold something.
        """

    async def kept_volumes(self, user_id: UserId | None = None) -> Sequence[KeptVolume]:
        """Of one user, or of all."""

    async def remove(self, lease: Lease, *, actor: str) -> None:
        """Delete a DELETING row and its queue entry; the audit row stays. Raises Moved."""

    async def wake(
        self, user_id: UserId, state: State, *, owner: str, ttl: timedelta, actor: str
    ) -> tuple[Lease | None, Instance | None]:
        """`acquire` and the step WAKE from `state` as one: a wake is begun by millions of clicks, and waited for.

        The lease alone if the row was elsewhere; neither if another holds the lease.
        """

    async def acquire(self, user_id: UserId, *, owner: str, ttl: timedelta) -> Lease | None:
        """The lease, if free, expired or already `owner`'s (then with a new fence). None if another holds it."""

    async def renew(self, lease: Lease, *, ttl: timedelta) -> Lease:
        """The same fence, a later `until`. Raises Moved if it was lost."""

    async def release(self, lease: Lease) -> None:
        """Give it back early. A lease that is no longer ours is left alone."""

    async def touch(self, touches: Sequence[Touch]) -> None:
        """Move `last_active` forward, never back (GREATEST), in one statement."""

    async def quiet(self, *, before: datetime, limit: int, after: Candidate | None = None) -> Sequence[Candidate]:
        """ACTIVE Instances without activity since `before`, longest quiet first; those behind `after`."""

    async def asleep(self, *, before: datetime, limit: int, after: Candidate | None = None) -> Sequence[Candidate]:
        """SUSPENDED Instances whose `state_since` is older than `before`, oldest first; those behind `after`."""

    async def unfinished(self, *, limit: int) -> Sequence[Instance]:
        """Instances in a state that somebody must bring to an end, whose lease is free or expired."""

    async def put_off(
        self,
        lease: Lease,
        *,
        actor: str,
        error: str,
        words: str,
        next_retry_at: datetime,
        tries: int,
        background: bool = False,
    ) -> Waiting:
        """The step from PROVISIONING to FAILED, with its place in the queue and its audit row in one transaction.

        `error` is for the operator, `words` for the user. The failure number `tries` is the last one: it is `dead`,
        and the same transaction holds an audit row `dead_letter`. Raises Moved.
        """

    async def waiting(self, user_id: UserId) -> Waiting | None:
        """Their entry in the queue, dead ones too. The step to ACTIVE removes it."""

    async def due(self, *, now: datetime, limit: int) -> Sequence[Waiting]:
        """Those to be tried again now: users first, then longest due."""

    async def queued(
        self, *, dead: bool | None = None, after: UserId | None = None, limit: int = 100
    ) -> Sequence[Waiting]:
        """In order of user_id, for paging by `after`: all, or only the dead, or only those that wait."""

    async def try_again(self, user_id: UserId, *, actor: str) -> Waiting | None:
        """Due now, with all its tries before it again. With an audit row; None if it is not in the queue."""

    async def reschedule(self, user_id: UserId, *, at: datetime, actor: str) -> Waiting | None:
        """Due at `at`; a dead one waits again, for one more try. With an audit row; None if it is not in the queue."""

    async def drop(self, user_id: UserId, *, actor: str) -> bool:
        """Out of the queue, with an audit row; False if it was not in it. The Instance stays FAILED."""

    async def journal(self, instance_id: UUID, *, path: str, steps: Mapping[str, float]) -> None:
        """Remember how long each named step of a `path` ("provision", "resume", "start") took, in seconds."""

    async def usual(self) -> Mapping[tuple[str, str], Usual]:
        """By (path, step), over the latest 200 of each path."""

    def changes(self) -> AsyncGenerator[Change | None, None]:
        """Every change of an Instance, by any replica, until the iterator is closed.

        None means that changes may have been missed (the connection was made anew): drop what you cached.
        """
