"""Fly and Postgres as small models in memory, for tests that kill a replica between any two of its calls.

They keep the laws that our code relies on (names unique within an app, one attachment for each volume, leases with
fences, compare-and-set) and nothing else. The true ones are tested against the same ports elsewhere.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from provisioner.errors import Moved, NameTaken, NotThere, Refused, WrongState
from provisioner.instance import Endpoint, Event, Instance, Isolation, MachineId, State, UserId, step
from provisioner.ports import KeptVolume, Lease, Machine, MachineSpec, MachineState, Volume, VolumeSource, Waiting
from provisioner.probe import Health
from tests.parts.clock import ManualClock

_S = MachineState
_SETTLES = {_S.STARTING: _S.STARTED, _S.STOPPING: _S.STOPPED, _S.SUSPENDING: _S.SUSPENDED, _S.CREATED: _S.STARTED}


class ModelFly:
    """`ports.Cloud` and `probe.Probe`. A transient state is shown once, then it is the one it leads to.

    `trouble` is asked before and after each call that changes something and may raise.
    """

    def __init__(self) -> None:
        self.apps: dict[str, tuple[str, str]] = {}
        self.machines: dict[MachineId, tuple[str, Machine]] = {}
        self.volumes: dict[str, tuple[str, Volume]] = {}
        self.trouble: Callable[[str, str], None] = lambda action, when: None
        self.host_ok = True
        self._ids = count(1)

    async def create_app(self, app: str, *, network: str) -> str:
        self.trouble("create_app", "before")
        app_id, held = self.apps.setdefault(app, (f"app{next(self._ids)}", network))
        self.trouble("create_app", "after")
        if held != network:
            raise NameTaken("in another network")
        return app_id

    async def assign_address(self, app: str, *, network: str) -> str:
        self.trouble("assign_address", "before")
        return f"fdaa::{self.apps[app][0].removeprefix('app')}"

    async def delete_app(self, app: str, *, network: str) -> None:
        self.trouble("delete_app", "before")
        if self.apps.get(app, ("", ""))[1] == network:
            del self.apps[app]
            self.machines = {id: (of, m) for id, (of, m) in self.machines.items() if of != app}
            self.volumes = {id: (of, v) for id, (of, v) in self.volumes.items() if of != app}
        self.trouble("delete_app", "after")

    async def create_volume(
        self, app: str, *, name: str, region: str, size_gb: int, guest: object, source: VolumeSource | None = None
    ) -> Volume:
        self.trouble("create_volume", "before")
        id = f"vol_{next(self._ids)}"
        made = Volume(id=id, name=name, state="created", region=region, size_gb=size_gb, attached_machine_id=None)
        self.volumes[id] = (app, made)
        self.trouble("create_volume", "after")
        return made

    async def latest_snapshot(self, app: str, volume_id: str) -> str | None:
        return f"vs_{volume_id}"

    async def volumes_of(self, app: str) -> Sequence[Volume]:
        hangs = {machine.volume_id: id for id, (_, machine) in self.machines.items()}
        return [replace(v, attached_machine_id=hangs.get(v.id)) for of, v in self.volumes.values() if of == app]

    async def delete_volume(self, app: str, volume_id: str) -> None:
        self.trouble("delete_volume", "before")
        if volume_id in {machine.volume_id for _, machine in self.machines.values()}:
            raise WrongState("attached")
        self.volumes.pop(volume_id, None)
        self.trouble("delete_volume", "after")

    async def create_machine(self, app: str, spec: MachineSpec) -> Machine:
        self.trouble("create_machine", "before")
        for of, machine in self.machines.values():
            if (of, machine.name) == (app, spec.name):
                return machine
        if spec.volume_id in {machine.volume_id for _, machine in self.machines.values()}:
            raise Refused("the volume is attached")
        if spec.volume_id not in self.volumes:
            raise NotThere("volume not found")
        id = MachineId(f"m{next(self._ids)}")
        made = Machine(
            id=id,
            name=spec.name,
            state=_S.CREATED,
            region=spec.region,
            version=f"v{next(self._ids)}",
            private_ip=f"fdaa:1::{id[1:]}",
            volume_id=spec.volume_id,
            image=spec.image,
            metadata=spec.metadata,
            host_ok=True,
        )
        self.machines[id] = (app, made)
        self.trouble("create_machine", "after")
        return made

    async def machine(self, app: str, machine_id: MachineId) -> Machine | None:
        if machine_id not in self.machines:
            return None
        _, seen = self.machines[machine_id]
        self.put(machine_id, _SETTLES.get(seen.state, seen.state))
        return replace(seen, host_ok=self.host_ok)

    async def machines_of(self, app: str, metadata: Mapping[str, str]) -> Sequence[Machine]:
        return [m for of, m in self.machines.values() if of == app and metadata.items() <= m.metadata.items()]

    async def start(self, app: str, machine_id: MachineId) -> bool:
        resumes = machine_id in self.machines and self.machines[machine_id][1].state is _S.SUSPENDED
        self._change("start", machine_id, _S.STARTING, unless=(_S.STARTED, _S.STARTING))
        return resumes

    async def stop(self, app: str, machine_id: MachineId, *, signal: str, timeout: timedelta) -> None:
        self._change("stop", machine_id, _S.STOPPING, unless=(_S.STOPPED, _S.STOPPING))

    async def suspend(self, app: str, machine_id: MachineId) -> None:
        if machine_id in self.machines and self.machines[machine_id][1].state not in (_S.STARTED, _S.SUSPENDED):
            raise WrongState("not running", current=self.machines[machine_id][1].state)
        self._change("suspend", machine_id, _S.SUSPENDING, unless=(_S.SUSPENDED,))

    async def wait(
        self, app: str, machine: Machine, states: Sequence[MachineState], *, timeout: timedelta
    ) -> MachineState:
        seen = await self.machine(app, machine.id)
        if seen is None:
            raise NotThere("gone")
        reached = self.machines[machine.id][1].state
        if reached not in states:
            raise WrongState("it is elsewhere", current=reached)
        return reached

    async def destroy(self, app: str, machine_id: MachineId) -> None:
        self.trouble("destroy", "before")
        self.machines.pop(machine_id, None)
        self.trouble("destroy", "after")

    async def health(self, endpoint: Endpoint, machine_id: MachineId, *, timeout: float) -> Health:
        held = self.machines.get(machine_id)
        return Health.READY if held is not None and held[1].state is _S.STARTED else Health.SILENT

    async def exchanges(self, endpoint: Endpoint, assertion: str, *, timeout: float) -> int | None:
        return 0

    async def busy(self, endpoint: Endpoint, assertion: str, *, timeout: float) -> str | None:
        return None

    def put(self, machine_id: MachineId, state: MachineState) -> None:
        """It is in `state` from now on, whoever did that."""
        app, machine = self.machines[machine_id]
        self.machines[machine_id] = (app, replace(machine, state=state))

    def _change(
        self, action: str, machine_id: MachineId, state: MachineState, *, unless: tuple[MachineState, ...]
    ) -> None:
        self.trouble(action, "before")
        if machine_id not in self.machines:
            raise NotThere("no such machine")
        if self.machines[machine_id][1].state not in unless:
            self.put(machine_id, state)
        self.trouble(action, "after")


class ModelStore:
    """As much of `ports.Store` as a life needs, each call one transaction."""

    def __init__(self, clock: ManualClock) -> None:
        self.rows: dict[UserId, Instance] = {}
        self.queue: dict[UserId, Waiting] = {}
        self.kept: list[KeptVolume] = []
        self._leases: dict[UserId, Lease] = {}
        self._clock, self._fences = clock, count(1)

    async def create(
        self, user_id: UserId, *, id: UUID | None = None, isolation: Isolation, actor: str, **names: Any
    ) -> Instance:
        now = self._clock.now()
        nothing = dict.fromkeys(("machine_id", "volume_id", "private_ip", "error"))
        times = {"last_active": now, "state_since": now, "created_at": now}
        row = Instance(
            user_id=user_id,
            id=id or uuid4(),
            state=State.PROVISIONING,
            isolation=isolation,
            **names,
            **nothing,  # type: ignore[arg-type]
            **times,  # type: ignore[arg-type]
        )
        return self.rows.setdefault(user_id, row)

    async def find(self, user_id: UserId) -> Instance | None:
        return self.rows.get(user_id)

    async def move(
        self, user_id: UserId, state: State, event: Event, *, actor: str, lease: Lease | None = None, **said: Any
    ) -> Instance:
        after = step(state, event)
        row = self._held(lease) if lease is not None else self.rows.get(user_id)
        if row is None or row.state is not state:
            raise Moved("elsewhere")
        assert after is not State.ACTIVE or (row.machine_id and row.private_ip), "serving without a Machine"
        if after is State.ACTIVE:
            self.queue.pop(user_id, None)
        return self._write(row, state=after, state_since=self._clock.now(), error=said.get("error"))

    async def record(self, lease: Lease, **told: Any) -> Instance:
        return self._write(self._held(lease), **{name: value for name, value in told.items() if value is not None})

    async def note_host(self, lease: Lease, *, down_since: datetime | None) -> Instance:
        return self._write(self._held(lease), host_down_since=down_since)

    async def forget_machine(self, lease: Lease) -> Instance:
        return self._write(self._held(lease), machine_id=None, private_ip=None, host_down_since=None)

    async def exchange_volume(self, lease: Lease, *, volume_id: str, region: str, reason: str) -> Instance:
        row = self._held(lease)
        assert row.volume_id is not None
        self.kept.append(
            KeptVolume(
                volume_id=row.volume_id,
                app_name=row.app_name,
                user_id=row.user_id,
                reason=reason,
                kept_at=self._clock.now(),
            )
        )
        gone = {"machine_id": None, "private_ip": None, "host_down_since": None}
        return self._write(row, volume_id=volume_id, region=region, **gone)

    async def drop_volume(self, lease: Lease, *, region: str) -> Instance:
        row = self._held(lease)
        if row.state is not State.PROVISIONING or row.machine_id is not None:
            raise Moved("it may hold something")
        return self._write(row, volume_id=None, region=region)

    async def kept_volumes(self, user_id: UserId | None = None) -> Sequence[KeptVolume]:
        return list(self.kept)

    async def remove(self, lease: Lease, *, actor: str) -> None:
        row = self._held(lease)
        if row.state is not State.DELETING:
            raise Moved("not deleting")
        del self.rows[row.user_id]
        self.queue.pop(row.user_id, None)
        self.kept.clear()

    async def put_off(
        self, lease: Lease, *, words: str, next_retry_at: datetime, tries: int, error: str, **said: Any
    ) -> Waiting:
        row = self._held(lease)
        self._write(row, state=step(row.state, Event.FAIL), state_since=self._clock.now())
        before = self.queue.get(row.user_id)
        retries = 0 if before is None else before.retry_count + 1
        self.queue[row.user_id] = Waiting(
            user_id=row.user_id,
            email=row.email,
            error=words,
            cause=error,
            retry_count=retries,
            next_retry_at=next_retry_at,
            place=1,
            since=self._clock.now(),
            dead=retries + 1 >= tries,
        )
        return self.queue[row.user_id]

    async def waiting(self, user_id: UserId) -> Waiting | None:
        return self.queue.get(user_id)

    async def journal(self, instance_id: UUID, *, path: str, steps: Mapping[str, float]) -> None:
        pass

    async def wake(
        self, user_id: UserId, state: State, *, owner: str, ttl: timedelta, actor: str
    ) -> tuple[Lease | None, Instance | None]:
        lease = await self.acquire(user_id, owner=owner, ttl=ttl)
        try:
            return lease, lease and await self.move(user_id, state, Event.WAKE, actor=actor, lease=lease)
        except Moved:
            return lease, None

    async def acquire(self, user_id: UserId, *, owner: str, ttl: timedelta) -> Lease | None:
        held, now = self._leases.get(user_id), self._clock.now()
        if held is not None and held.owner not in ("", owner) and held.until > now:
            return None
        self._leases[user_id] = Lease(user_id=user_id, owner=owner, fence=next(self._fences), until=now + ttl)
        return self._leases[user_id]

    async def renew(self, lease: Lease, *, ttl: timedelta) -> Lease:
        self._held(lease, row=False)
        self._leases[lease.user_id] = replace(lease, until=self._clock.now() + ttl)
        return self._leases[lease.user_id]

    async def release(self, lease: Lease) -> None:
        held = self._leases.get(lease.user_id)
        if held is not None and held.fence == lease.fence:
            self._leases[lease.user_id] = replace(held, owner="")

    def _held(self, lease: Lease, *, row: bool = True) -> Any:
        held = self._leases.get(lease.user_id)
        if held is None or (held.owner, held.fence) != (lease.owner, lease.fence):
            raise Moved("the lease was lost")
        if row and lease.user_id not in self.rows:
            raise Moved("no row")
        return self.rows.get(lease.user_id)

    def _write(self, row: Instance, **changes: Any) -> Instance:
        self.rows[row.user_id] = replace(row, **changes)
        return self.rows[row.user_id]


@dataclass
class Life:
    """A replica's: it is killed when it makes its call number `calls`, before or after that was done."""

    calls: int | None
    after: bool

    def __post_init__(self) -> None:
        self.dead = asyncio.Event()

    async def through(self, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """`call`, unless it is the last one. The dead do nothing: neither finish nor clean up."""
        if self.dead.is_set():
            raise asyncio.CancelledError
        last = False
        if self.calls is not None:
            self.calls -= 1
            last = self.calls <= 0
        if not last or self.after:
            told = await call(*given, **named)
        if last:
            self.dead.set()
            await asyncio.Event().wait()
        return told


class Mortal:
    """A port as a replica with this life sees it."""

    def __init__(self, port: object, life: Life) -> None:
        self._port, self._life = port, life

    def __getattr__(self, name: str) -> Any:
        # The model's lists of things have the names of its methods; see ModelFly.
        name = f"{name}_of" if isinstance(self._port, ModelFly) and name in ("machines", "volumes") else name
        call = getattr(self._port, name)
        return lambda *given, **named: self._life.through(call, *given, **named)
