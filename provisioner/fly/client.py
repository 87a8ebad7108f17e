"""Fly as a `provisioner.ports.Cloud`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from provisioner.clock import Clock, SystemClock
from provisioner.connections import connections
from provisioner.errors import NotThere, WrongState
from provisioner.fly import apps, calls, changing, removing, starting, waiting
from provisioner.fly.breaker import Condition
from provisioner.fly.creating import Newborns, create_or_adopt
from provisioner.fly.settings import FlySettings
from provisioner.fly.wire import Wire
from provisioner.instance import Guest, MachineId
from provisioner.ports import Cloud, Machine, MachineSpec, MachineState, Volume, VolumeSource
from provisioner.turns import Turns

_ASLEEP: Final = (MachineState.SUSPENDED, MachineState.SUSPENDING)
_DOWN: Final = (MachineState.STOPPED, MachineState.STOPPING)


class FlyClient:
    """Every call keeps Fly's rate limits, repeats itself where that is safe, and raises only CloudErrors.

    ValueError means a bug of ours: an app or id that cannot be one. For one event loop; concurrent calls are fine.
    """

    def __init__(
        self, http: aiohttp.ClientSession, settings: FlySettings, clock: Clock, turns: Turns | None = None
    ) -> None:
        """`http` stays the caller's to close. `turns` are shared with other replicas; None: there is no other."""
        self._settings, self._clock = settings, clock
        self._wire = Wire(http, settings, clock, turns)
        self._newborns = Newborns(clock)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: FlySettings, clock: Clock | None = None, turns: Turns | None = None
    ) -> AsyncIterator[Self]:
        """A client with connections of its own, closed at the end."""
        async with connections(keep=True) as http:
            yield cls(http, settings, clock or SystemClock(), turns)

    @property
    def condition(self) -> Condition:
        """How it stands between this replica and Fly."""
        return self._wire.breaker.condition

    def take_ended(self) -> Mapping[str, int]:
        """How the calls since this was last asked ended, each try for itself: see `Wire.take_ended`."""
        return self._wire.take_ended()

    async def ensure_app(self, app: str, org_slug: str | None = None) -> None:
        """Make `app` unless it is there. Raises NameTaken if it belongs to another organisation."""
        await apps.ensure_app(self._wire, self._clock, app, org_slug or self._settings.org_slug)

    async def create_app(self, app: str, *, network: str) -> str:
        return await apps.create_app(self._wire, self._clock, app, self._settings.org_slug, network=network)

    async def assign_address(self, app: str, *, network: str) -> str:
        return await apps.assign_address(self._wire, app, network=network)

    async def delete_app(self, app: str, *, network: str) -> None:
        await apps.delete_app(self._wire, self._clock, app, self._settings.org_slug, network=network)

    async def apps(self) -> Mapping[str, str]:
        return await self._wire.send(calls.list_apps(self._settings.org_slug))

    async def create_volume(
        self, app: str, *, name: str, region: str, size_gb: int, guest: Guest, source: VolumeSource | None = None
    ) -> Volume:
        """Not idempotent, as volume names are not unique: after CloudSilent or CloudBroken one may be there."""
        return await self._wire.send(
            calls.create_volume(app, name=name, region=region, size_gb=size_gb, guest=guest, source=source)
        )

    async def latest_snapshot(self, app: str, volume_id: str) -> str | None:
        return await self._wire.send(calls.list_snapshots(app, volume_id))

    async def volumes(self, app: str) -> Sequence[Volume]:
        """Those that are not on their way out."""
        return await self._wire.send(calls.list_volumes(app))

    async def delete_volume(self, app: str, volume_id: str) -> None:
        await removing.delete_volume(self._wire, self._clock, app, volume_id)

    async def extend_volume(self, app: str, volume_id: str, size_gb: int) -> None:
        await changing.extend_volume(self._wire, app, volume_id, size_gb)

    async def create_machine(self, app: str, spec: MachineSpec) -> Machine:
        return await create_or_adopt(self._wire, self._clock, self._newborns, app, spec)

    async def machine(self, app: str, machine_id: MachineId) -> Machine | None:
        try:
            found = await self._newborns.send(self._wire, calls.get_machine(app, machine_id))
        except NotThere:
            return None
        return None if found.state is MachineState.DESTROYED else found

    async def machines(self, app: str, metadata: Mapping[str, str]) -> Sequence[Machine]:
        """Those that carry all of `metadata`, and are not `destroyed`.

        What Fly selects is compared once more, because callers destroy by it; a Machine whose host is down may come
        without its metadata, and then Fly's word counts.
        """
        listed = await self._wire.send(calls.list_machines(app, metadata))
        return [
            machine
            for machine in listed
            if machine.state is not MachineState.DESTROYED
            and (metadata.items() <= machine.metadata.items() or not (machine.host_ok or machine.metadata))
        ]

    async def update(self, app: str, machine_id: MachineId, *, image: str, guest: Guest) -> Machine:
        return await changing.update(self._wire, self._clock, app, machine_id, image=image, guest=guest)

    async def start(self, app: str, machine_id: MachineId) -> bool:
        return await starting.start(self._wire, self._clock, app, machine_id)

    async def stop(self, app: str, machine_id: MachineId, *, signal: str, timeout: timedelta) -> None:
        """Success also if it is `stopped` or `stopping` already. Stopping a suspended one gives up its snapshot."""
        try:
            await self._wire.send(calls.stop(app, machine_id, signal=signal, timeout=timeout))
        except WrongState as error:
            if error.current not in _DOWN:
                raise

    async def suspend(self, app: str, machine_id: MachineId) -> None:
        """Returns before the snapshot is written. Success also if it is `suspended` or `suspending` already."""
        try:
            await self._wire.send(calls.suspend(app, machine_id))
        except WrongState as error:
            if error.current not in _ASLEEP:
                raise

    async def wait(
        self, app: str, machine: Machine, states: Sequence[MachineState], *, timeout: timedelta
    ) -> MachineState:
        return await waiting.wait(self._wire, self._clock, self._newborns, app, machine, states, timeout=timeout)

    async def destroy(self, app: str, machine_id: MachineId) -> None:
        await removing.destroy(self._wire, app, machine_id)


if TYPE_CHECKING:

    def _fits(client: FlyClient) -> Cloud:
        return client
