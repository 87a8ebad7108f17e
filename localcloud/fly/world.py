"""All that exists at this Fly, and looking it up as the API sees it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from localcloud.fly import errors
from localcloud.fly.addresses import Addresses
from localcloud.fly.clock import Clock
from localcloud.fly.disk import Disk
from localcloud.fly.errands import Errands
from localcloud.fly.faults import Latencies
from localcloud.fly.memory import Memory
from localcloud.fly.records import App, Machine, Volume
from localcloud.fly.states import State


@dataclass(slots=True, kw_only=True)
class World:
    """Apps, Machines and volumes by id, and what their lives need."""

    clock: Clock
    disk: Disk
    errands: Errands
    addresses: Addresses
    latencies: Latencies
    memory: Memory
    default_region: str
    apps: dict[str, App] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    births: dict[str, float] = field(default_factory=dict)
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    """The latest Machine of a name in an app: thousands need not be looked through for each new one."""
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def app(self, name: str) -> App:
        """Raises Refused(404) also for one that was made just now, if this Fly is slow to show it."""
        app = self.apps.get(name)
        if app is None or self._is_invisible(name):
            raise errors.not_found("app")
        return app

    def machine(self, app_name: str, machine_id: str) -> Machine:
        """Raises Refused(404) if it is not there, not yet, or no more."""
        self.app(app_name)
        machine = self.machines.get(machine_id)
        if machine is None or machine.app != app_name or self._is_invisible(machine_id):
            raise errors.not_found("machine")
        if machine.state is State.DESTROYED and self.clock.monotonic() - machine.died >= self.latencies.afterlife:
            raise errors.not_found("machine")
        return machine

    def add(self, machine: Machine) -> None:
        self.machines[machine.id] = machine
        self.names[machine.app, machine.name] = machine.id

    def namesake(self, app_name: str, name: str) -> Machine | None:
        """The Machine that has this name now, whether the API shows it yet or not."""
        machine = self.machines.get(self.names.get((app_name, name), ""))
        return machine if machine is not None and machine.state is not State.DESTROYED else None

    def volume(self, app_name: str, volume_id: str) -> Volume:
        self.app(app_name)
        volume = self.volumes.get(volume_id)
        if volume is None or volume.app != app_name:
            raise errors.not_found("volume")
        return volume

    def machines_of(self, app_name: str) -> Iterator[Machine]:
        return (m for m in self.machines.values() if m.app == app_name and not self._is_invisible(m.id))

    def volumes_of(self, app_name: str) -> Iterator[Volume]:
        return (v for v in self.volumes.values() if v.app == app_name)

    def changed(self) -> None:
        """To be called after every change, so that it survives a restart."""
        self.memory.changed()

    def contents(self) -> Mapping[str, object]:
        """What memory keeps."""
        return {
            "apps": [app.kept() for app in self.apps.values()],
            "machines": [m.kept() for m in self.machines.values() if m.state is not State.DESTROYED],
            "volumes": [volume.kept() for volume in self.volumes.values()],
        }

    def _is_invisible(self, key: str) -> bool:
        born = self.births.get(key)
        return born is not None and self.clock.monotonic() - born < self.latencies.invisible
