"""Changing what exists: image and size of a Machine, size of a volume. Each looks first, as answers get lost."""

from typing import Final

import structlog

from provisioner.clock import Clock
from provisioner.errors import CloudBroken, CloudSilent, Refused, WrongState
from provisioner.fly import calls
from provisioner.fly import machine as shape
from provisioner.fly.wire import Wire
from provisioner.instance import Guest, MachineId
from provisioner.ports import Machine, MachineState

log = structlog.get_logger()

AT_REST: Final = (MachineState.STOPPED, MachineState.SUSPENDED, MachineState.FAILED, MachineState.CREATED)
_SETTLE: Final = 1.0  # seconds until Fly shows what an update without an answer has done


async def update(wire: Wire, clock: Clock, app: str, machine_id: MachineId, *, image: str, guest: Guest) -> Machine:
    """See `provisioner.ports.Cloud.update`. The config is read just before, and Fly refuses it if it changed since."""
    machine, config = await wire.send(calls.get_config(app, machine_id))
    if (machine.image, machine.guest) == (image, guest):
        return machine
    if not config:
        raise WrongState(
            "update_machine: its host cannot be reached, so its config is not known", current=machine.state
        )
    if machine.state not in AT_REST:
        raise WrongState("update_machine: it is not at rest", current=machine.state)
    body = shape.update_body(config, version=machine.version, image=image, guest=guest)
    try:
        changed = await wire.send(calls.update_machine(app, machine_id, body))
    except (CloudSilent, CloudBroken):
        await clock.sleep(_SETTLE)
        changed, _ = await wire.send(calls.get_config(app, machine_id))
        if (changed.image, changed.guest) != (image, guest):
            raise
    log.info("fly_machine_updated", id=machine_id, image=image, guest=str(guest), was=str(machine.guest))
    return changed


async def extend_volume(wire: Wire, app: str, volume_id: str, size_gb: int) -> None:
    """See `provisioner.ports.Cloud.extend_volume`. Fly refuses to shrink, and to grow by nothing."""
    try:
        await wire.send(calls.extend_volume(app, volume_id, size_gb))
    except (CloudSilent, CloudBroken, Refused):
        if (await wire.send(calls.get_volume(app, volume_id))).size_gb < size_gb:
            raise
