"""Waiting until a Machine is in a state, as Fly's `wait` call does it, without its traps."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from provisioner.clock import Clock
from provisioner.errors import CloudBroken, CloudSilent, CloudUnreachable, NotThere, WrongState
from provisioner.fly import calls
from provisioner.fly.creating import Newborns
from provisioner.fly.wire import TRIES, Wire
from provisioner.ports import Machine, MachineState

WAITABLE: Final = frozenset(
    {
        MachineState.STARTED,
        MachineState.STOPPED,
        MachineState.SUSPENDED,
        MachineState.DESTROYED,
        MachineState.FAILED,
    }
)
_SHORTEST, _LONGEST = 1, 60  # seconds; Fly answers 400 outside
_PAUSE: Final = 0.5


async def wait(
    wire: Wire,
    clock: Clock,
    newborns: Newborns,
    app: str,
    machine: Machine,
    states: Sequence[MachineState],
    *,
    timeout: timedelta,
) -> MachineState:
    """Which of `states` the Machine is in. See `provisioner.ports.Cloud.wait`.

    A version that was replaced meanwhile is exchanged, once, for the current one. A Machine that is gone is
    DESTROYED, if that was waited for, and NotThere otherwise. ValueError for states that Fly cannot wait for.
    """
    if not states or not WAITABLE.issuperset(states):
        raise ValueError(f"Fly can wait for {sorted(WAITABLE)}, not for {list(states)}")
    deadline = clock.monotonic() + min(max(timeout.total_seconds(), _SHORTEST), _LONGEST)
    version, renewed, failures = machine.version, False, 0
    try:
        if not version and MachineState.STOPPED in states:  # Fly asks for it then
            version = (await newborns.send(wire, calls.get_machine(app, machine.id))).version
        while True:
            seconds = max(_SHORTEST, min(math.ceil(deadline - clock.monotonic()), _LONGEST))
            call = calls.wait(app, machine.id, version=version, states=states, seconds=seconds)
            try:
                # One try only: the wire would repeat the whole of `timeout`, where the rest of it is meant.
                reached = await newborns.send(wire, call, tries=1)
            except WrongState as error:
                if error.current != MachineState.REPLACED or renewed:
                    raise
                version, renewed = (await wire.send(calls.get_machine(app, machine.id))).version, True
            except (CloudSilent, CloudBroken, CloudUnreachable):
                failures += 1
                if failures >= TRIES or clock.monotonic() + _PAUSE > deadline:
                    raise
                await clock.sleep(_PAUSE)
            else:
                return reached if reached is not None and reached in states else await _look(wire, app, machine, states)
    except NotThere:
        if MachineState.DESTROYED in states:
            return MachineState.DESTROYED
        raise


async def _look(wire: Wire, app: str, machine: Machine, states: Sequence[MachineState]) -> MachineState:
    """The answer did not say which state was reached, or named a word of its own such as `settled`."""
    now = await wire.send(calls.get_machine(app, machine.id))
    if now.state not in states:
        raise WrongState(f"wait: it is {now.state} by now", current=now.state)
    return now.state
