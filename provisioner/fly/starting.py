"""Starting a Machine that may not be ready to be started yet."""

from typing import Final

from provisioner.clock import Clock
from provisioner.errors import LeaseHeld, WrongState
from provisioner.fly import calls
from provisioner.fly.wire import Wire
from provisioner.instance import MachineId
from provisioner.ports import MachineState

UP: Final = (MachineState.STARTED, MachineState.STARTING)
"""What a refused start may name and still be what was wanted."""

PASSING: Final = (
    MachineState.CREATED,  # refused, it means that the image is still being prepared
    MachineState.CREATING,
    MachineState.UPDATING,
    MachineState.REPLACING,
    MachineState.REPLACED,
    MachineState.STOPPING,
    MachineState.RESTARTING,
)
"""States that pass by themselves: to be asked again."""

_WITHIN: Final = 10.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 1.0


async def start(wire: Wire, clock: Clock, app: str, machine_id: MachineId) -> bool:
    """Return when Fly has taken the start, or says that the Machine is up or coming up already. The value is that of
    `provisioner.ports.Cloud.start`.

    A passing state, or a lease of somebody else, is asked again for up to 10 s. After that, and for any other
    state, raises WrongState that names it, or LeaseHeld.
    """
    until, pause = clock.monotonic() + _WITHIN, _FIRST_PAUSE
    while True:
        try:
            return await wire.send(calls.start(app, machine_id))
        except WrongState as error:
            if error.current in UP:
                return False
            if error.current not in PASSING or clock.monotonic() + pause > until:
                raise
        except LeaseHeld:  # by Fly Proxy or a deploy: short as a rule, and often given back before it expires
            if clock.monotonic() + pause > until:
                raise
        await clock.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * (1.5 + clock.jitter()))
