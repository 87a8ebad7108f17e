"""Ending Machines and disks. What is gone already counts as done."""

from contextlib import suppress
from typing import Final

from provisioner.clock import Clock
from provisioner.errors import NotThere, WrongState
from provisioner.fly import calls
from provisioner.fly.wire import Wire
from provisioner.instance import MachineId
from provisioner.ports import MachineState

_GONE: Final = (MachineState.DESTROYED, MachineState.DESTROYING)
_DETACHES_WITHIN: Final = 10.0  # seconds; a disk hangs on its Machine until that is quite gone
_LOOK_AGAIN: Final = 1.0


async def destroy(wire: Wire, app: str, machine_id: MachineId) -> None:
    """Return when Fly has taken it, which is before the Machine is gone."""
    try:
        await wire.send(calls.destroy(app, machine_id))
    except NotThere:
        pass
    except WrongState as error:
        if error.current not in _GONE:
            raise


async def delete_volume(wire: Wire, clock: Clock, app: str, volume_id: str) -> None:
    """Return when Fly has taken it. A disk of a Machine destroyed just now is asked again while it detaches.

    Raises WrongState if it is still attached after 10 s.
    """
    until = clock.monotonic() + _DETACHES_WITHIN
    with suppress(NotThere):
        while True:
            try:
                return await wire.send(calls.delete_volume(app, volume_id))
            except WrongState:
                if clock.monotonic() + _LOOK_AGAIN > until:
                    raise
            await clock.sleep(_LOOK_AGAIN)
