"""Making a Machine exactly once, although answers get lost and replicas race.

Fly knows no idempotency key. What it has is a name that is unique within the app, and metadata that says whose a
Machine is: so a duplicate is looked at, and adopted if it is the very one we meant to make.
"""

from collections.abc import Mapping
from typing import Final

import structlog

from provisioner.clock import Clock
from provisioner.errors import CloudBroken, CloudError, CloudSilent, NameTaken, NotThere, WrongState
from provisioner.fly import calls
from provisioner.fly.wire import TRIES, Wire
from provisioner.instance import MachineId
from provisioner.ports import Machine, MachineSpec, MachineState

log = structlog.get_logger()

IDENTITY: Final = ("instance", "gateway_env", "deployment")
"""The metadata that says whose a Machine is."""

GOING: Final = (MachineState.DESTROYING, MachineState.DESTROYED, MachineState.LAUNCH_FAILED)

_SETTLE: Final = 1.0  # seconds until Fly's lists show what a failed create has made
_LOOKS: Final = 2
_APPEARS_WITHIN: Final = 2.0  # seconds in which a new Machine may still be unknown to a GET or a wait
_LOOK_AGAIN: Final = 0.25


class Newborns:
    """Machines made a moment ago, to which a 404 does not mean that they are gone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[MachineId, float] = {}

    def add(self, machine_id: MachineId) -> None:
        now = self._clock.monotonic()
        self._until = {known: until for known, until in self._until.items() if until > now}
        self._until[machine_id] = now + _APPEARS_WITHIN

    async def send(self, wire: Wire, call: calls.Call[calls.T], *, tries: int = TRIES) -> calls.T:
        """The answer to a call on a Machine; while it is new, 404 is asked again."""
        while True:
            try:
                return await wire.send(call, tries=tries)
            except NotThere:
                if self._until.get(MachineId(call.target), 0.0) < self._clock.monotonic() + _LOOK_AGAIN:
                    raise
            await self._clock.sleep(_LOOK_AGAIN)


async def create_or_adopt(wire: Wire, clock: Clock, newborns: Newborns, app: str, spec: MachineSpec) -> Machine:
    """The one Machine of `spec.name`, made now or found. See `provisioner.ports.Cloud.create_machine`.

    Raises WrongState, with the current state, if the one that has the name is on its way out.
    """
    try:
        made = await wire.send(calls.create_machine(app, spec))
    except NameTaken as taken:
        return _adopt(await _holder(wire, newborns, app, spec, taken), spec, taken)
    except (CloudSilent, CloudBroken) as lost:
        found = await _find(wire, clock, app, spec)
        if found is None:
            raise
        newborns.add(found.id)
        return _adopt(found, spec, lost)
    newborns.add(made.id)
    return made


async def _holder(wire: Wire, newborns: Newborns, app: str, spec: MachineSpec, taken: NameTaken) -> Machine:
    """The Machine that has the name. Raises `taken` again if nobody can be found."""
    if taken.machine_id:
        machine_id = MachineId(taken.machine_id)
        newborns.add(machine_id)  # the replica that won the race may have made it just now
        try:
            return await newborns.send(wire, calls.get_machine(app, machine_id))
        except NotThere:
            raise taken from None
    found = [machine for machine in await wire.send(calls.list_machines(app, {})) if machine.name == spec.name]
    if not found:
        raise taken
    return found[0]


async def _find(wire: Wire, clock: Clock, app: str, spec: MachineSpec) -> Machine | None:
    """What a create without an answer has made, if it made something."""
    for _ in range(_LOOKS):
        await clock.sleep(_SETTLE)
        try:
            listed = await wire.send(calls.list_machines(app, _identity(spec.metadata)))
        except CloudError:
            continue  # what went wrong first is what the caller should hear of
        for machine in listed:
            if machine.name == spec.name and machine.state not in GOING:
                return machine
    return None


def _adopt(machine: Machine, spec: MachineSpec, why: CloudError) -> Machine:
    """`machine`, if it is the one that `spec` describes. What says nothing of whose it is, is not ours."""
    wanted = _identity(spec.metadata)
    if not wanted or _identity(machine.metadata) != wanted or machine.name != spec.name:
        raise NameTaken(
            f"create_machine: the Machine named {spec.name} carries other metadata",
            machine_id=machine.id,
            status=why.status,
            request_id=why.request_id,
        ) from why
    if machine.state in GOING:
        raise WrongState(
            f"create_machine: the Machine named {spec.name} is {machine.state}",
            current=machine.state,
            status=why.status,
            request_id=why.request_id,
        ) from why
    log.info(
        "fly_machine_adopted",
        id=machine.id,
        name=machine.name,
        because=type(why).__name__,
        same_volume=machine.volume_id == spec.volume_id,
    )
    return machine


def _identity(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: metadata[key] for key in IDENTITY if key in metadata}
