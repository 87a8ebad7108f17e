"""What next? The bring-up of an Instance as a pure decision from what is recorded and what Fly shows.

A replica that dies leaves the record; whoever comes next asks this table again and goes on from there.
"""

from enum import StrEnum
from typing import Final

from provisioner.instance import Instance, Isolation
from provisioner.ports import Machine, MachineState


class Act(StrEnum):
    """One thing to do towards a ready Instance."""

    MAKE_APP = "make_app"
    ASSIGN_ADDRESS = "assign_address"
    MAKE_VOLUME = "make_volume"
    MAKE_MACHINE = "make_machine"
    START = "start"
    SETTLE = "settle"
    PROBE = "probe"
    FORGET = "forget"
    REPLACE = "replace"


_S = MachineState
BY_MACHINE: Final[dict[MachineState, Act]] = {
    _S.CREATED: Act.START,
    _S.CREATING: Act.SETTLE,
    _S.STARTING: Act.PROBE,  # connecting begins at once; the Guard answers the moment it listens
    _S.STARTED: Act.PROBE,
    _S.STOPPING: Act.SETTLE,
    _S.STOPPED: Act.START,
    _S.SUSPENDING: Act.START,  # Fly cancels the snapshot and goes on
    _S.SUSPENDED: Act.START,
    _S.RESTARTING: Act.PROBE,
    _S.UPDATING: Act.SETTLE,
    _S.REPLACING: Act.SETTLE,
    _S.REPLACED: Act.SETTLE,  # an old version's word: the next look names the current one
    _S.MIGRATED: Act.SETTLE,
    _S.FAILED: Act.START,  # Fly allows a start from `failed`
    _S.LAUNCH_FAILED: Act.REPLACE,
    _S.DESTROYING: Act.SETTLE,
    _S.DESTROYED: Act.FORGET,
    _S.UNKNOWN: Act.SETTLE,
}
"""A word of Fly's that is missing here would be a bug; a test walks the enum."""


def plan(instance: Instance, machine: Machine | None) -> Act:
    """The next act towards ready. `machine` is what Fly shows now for `instance.machine_id`, None if it is gone.

    The app comes first where the Instance has one of its own, then the address that leads into it. The volume comes
    before the Machine, because it decides the host.
    """
    if instance.isolation is Isolation.APP:
        if instance.app_id is None:
            return Act.MAKE_APP
        if instance.flycast_ip is None:
            return Act.ASSIGN_ADDRESS
    if instance.volume_id is None:
        return Act.MAKE_VOLUME
    if instance.machine_id is None:
        return Act.MAKE_MACHINE
    if machine is None:
        return Act.FORGET
    return BY_MACHINE[machine.state]
