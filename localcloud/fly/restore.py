"""What was remembered becomes a world again, as if the host had been switched off in between."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from localcloud.fly.records import App, Machine, Volume
from localcloud.fly.states import State
from localcloud.fly.world import World

_UNCHANGED = (State.CREATED, State.STOPPED, State.FAILED)
_DYING = (State.DESTROYING, State.DESTROYED)


def restore(world: World, kept: Mapping[str, Any]) -> None:
    """Fill an empty world. No process survived, so no Machine is up: it is `stopped`, and at a new address."""
    for item in kept.get("apps", []):
        app = App.restored(item)
        world.apps[app.name] = app
    for item in kept.get("volumes", []):
        volume = Volume.restored(item)
        if volume.state != "pending_destroy":
            volume.state = "created"
        world.volumes[volume.id] = volume
    for item in kept.get("machines", []):
        machine = Machine.restored(item | {"state": State(item["state"])})
        if machine.state in _DYING:
            for volume_id in machine.volume_ids:
                world.volumes[volume_id].attached_machine_id = None
            continue
        machine.private_ip = world.addresses.take()
        machine.prepared = True
        world.add(machine)
        if machine.state not in _UNCHANGED:
            machine.state = State.STOPPED
            machine.note(world.clock, kind="exit", source="flyd")
    world.numbers = count(1 + max((app.number for app in world.apps.values()), default=0))
    world.changed()
