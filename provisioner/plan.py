"""What next? One pure decision for every Instance, from what is recorded, what Fly shows, and the time.

A replica that dies leaves the record; whoever comes next asks this table again and goes on from there. The recorded
state says where the Instance is going (its goal), the Machine how far it is, and the time whether it may take longer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from provisioner.instance import Instance, Isolation, State
from provisioner.ports import Machine, MachineState


class Goal(StrEnum):
    """Where an Instance is going, or that it is there."""

    READY = "ready"
    SERVING = "serving"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    ASLEEP = "asleep"
    QUEUED = "queued"
    GONE = "gone"


GOALS: Final[dict[State, Goal]] = {
    State.PROVISIONING: Goal.READY,
    State.WAKING: Goal.READY,
    State.ACTIVE: Goal.SERVING,
    State.DRAINING: Goal.SERVING,
    State.SUSPENDING: Goal.SUSPENDED,
    State.STOPPING: Goal.STOPPED,
    State.SUSPENDED: Goal.ASLEEP,
    State.STOPPED: Goal.ASLEEP,
    State.FAILED: Goal.QUEUED,
    State.DELETING: Goal.GONE,
}


class Act(StrEnum):
    """One thing to do. What is recorded is changed before Fly is asked, and what Fly tells is recorded at once."""

    MAKE_APP = "make_app"
    ASSIGN_ADDRESS = "assign_address"
    MAKE_VOLUME = "make_volume"
    MAKE_MACHINE = "make_machine"
    START = "start"
    PROBE = "probe"
    SETTLE = "settle"
    """Nothing but to look again: Fly is at it."""
    SUSPEND = "suspend"
    STOP = "stop"
    STOP_INSTEAD = "stop_instead"
    """It cannot be suspended: the step to STOPPING."""
    FORGET = "forget"
    """There is no such Machine any more: clear its id, keep the volume."""
    REPLACE = "replace"
    """It will not come to anything: end it and forget it, keep the volume."""
    MOVE_AWAY = "move_away"
    """Its host is lost: a new volume from the latest snapshot, elsewhere; the old volume is kept."""
    DESTROY = "destroy"
    HIT = "hit"
    """Drained for too long: whoever did it died. Back to ACTIVE."""
    PUT_DOWN = "put_down"
    """It sleeps behind our back: record it by the ordinary steps."""
    GIVE_UP = "give_up"
    """Past its deadline: to the queue, or asleep, from where the next visit begins anew."""
    DONE = "done"
    """It is there: the step that says so."""
    REST = "rest"
    """Nothing to do."""


_S = MachineState
BY_MACHINE: Final[dict[MachineState, dict[Goal, Act]]] = {
    state: dict(
        zip((Goal.READY, Goal.SUSPENDED, Goal.STOPPED, Goal.SERVING, Goal.ASLEEP, Goal.QUEUED), acts, strict=True)
    )
    for state, acts in {
        # towards:        ready, suspended, stopped; and while it counts as serving, asleep, queued
        _S.CREATED: (Act.START, Act.STOP_INSTEAD, Act.STOP, Act.PUT_DOWN, Act.REST, Act.REST),
        _S.CREATING: (Act.SETTLE, Act.SETTLE, Act.SETTLE, Act.REST, Act.REST, Act.REST),
        # Connecting begins at once; the Guard answers the moment it listens.
        _S.STARTING: (Act.PROBE, Act.SETTLE, Act.STOP, Act.REST, Act.STOP, Act.STOP),
        _S.STARTED: (Act.PROBE, Act.SUSPEND, Act.STOP, Act.REST, Act.STOP, Act.STOP),
        _S.RESTARTING: (Act.PROBE, Act.SETTLE, Act.STOP, Act.REST, Act.STOP, Act.STOP),
        _S.STOPPING: (Act.SETTLE, Act.STOP_INSTEAD, Act.SETTLE, Act.REST, Act.REST, Act.REST),
        _S.STOPPED: (Act.START, Act.STOP_INSTEAD, Act.DONE, Act.PUT_DOWN, Act.REST, Act.REST),
        # A start cancels the snapshot, and it goes on.
        _S.SUSPENDING: (Act.START, Act.SETTLE, Act.STOP, Act.REST, Act.REST, Act.REST),
        _S.SUSPENDED: (Act.START, Act.DONE, Act.STOP, Act.PUT_DOWN, Act.REST, Act.REST),
        _S.UPDATING: (Act.SETTLE, Act.SETTLE, Act.SETTLE, Act.REST, Act.REST, Act.REST),
        _S.REPLACING: (Act.SETTLE, Act.SETTLE, Act.SETTLE, Act.REST, Act.REST, Act.REST),
        # An old version's word, or that of the host it left: the next look names the current one.
        _S.REPLACED: (Act.SETTLE, Act.SETTLE, Act.SETTLE, Act.REST, Act.REST, Act.REST),
        _S.MIGRATED: (Act.SETTLE, Act.SETTLE, Act.SETTLE, Act.REST, Act.REST, Act.REST),
        # A resting state, from which Fly allows a start.
        _S.FAILED: (Act.START, Act.STOP_INSTEAD, Act.DONE, Act.PUT_DOWN, Act.REST, Act.REST),
        _S.LAUNCH_FAILED: (Act.REPLACE, Act.STOP_INSTEAD, Act.REPLACE, Act.PUT_DOWN, Act.REPLACE, Act.REPLACE),
        _S.DESTROYING: (Act.SETTLE, Act.STOP_INSTEAD, Act.SETTLE, Act.PUT_DOWN, Act.REST, Act.REST),
        _S.DESTROYED: (Act.FORGET, Act.STOP_INSTEAD, Act.FORGET, Act.PUT_DOWN, Act.FORGET, Act.FORGET),
        # A word that we have not met: never acted upon, until the deadline.
        _S.UNKNOWN: (Act.SETTLE, Act.SETTLE, Act.SETTLE, Act.REST, Act.REST, Act.REST),
    }.items()
}
"""A word of Fly's that is missing here would be a bug; a test walks the enum. Towards GONE everything is destroyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an Instance may stay on its way. Fly itself calls a stop of five minutes wedged."""

    bring_up: timedelta = timedelta(minutes=4)
    """Longer than one bring-up takes before it gives up by itself: this is for rows whose replicas keep dying."""
    drain: timedelta = timedelta(minutes=1)
    put_down: timedelta = timedelta(minutes=5)
    host: timedelta = timedelta(minutes=5)
    """A host that is out of reach, before the user's disk is restored from its snapshot elsewhere. Shorter loses up
    to a day of changes for an outage that would have passed; longer leaves the user without a Machine."""


USUAL: Final = Patience()


def plan(instance: Instance, machine: Machine | None, now: datetime, patience: Patience = USUAL) -> Act:
    """The next act. `machine` is what Fly shows now for `instance.machine_id`, None if there is no such thing.

    Every state and every word of Fly has one, and none of them is for ever: an Instance on its way has a deadline,
    after which the act is another one.
    """
    goal = GOALS[instance.state]
    late = now - instance.state_since >= _limit(instance.state, patience)
    match goal:
        case Goal.READY:
            return Act.GIVE_UP if late else _towards_ready(instance, machine, now, patience)
        case Goal.SUSPENDED if late or machine is None or _is_lost(instance, machine, now, patience):
            return Act.STOP_INSTEAD
        case Goal.STOPPED if machine is None:
            return Act.DONE if instance.machine_id is None else Act.FORGET
        case Goal.STOPPED if late and machine is not None:
            # Out of reach it can be neither stopped nor seen; within reach it is wedged, and only force helps.
            return Act.REPLACE if machine.host_ok else Act.DONE
        case Goal.SERVING if instance.state is State.DRAINING and late:
            return Act.HIT
        case Goal.GONE:
            return Act.DONE if machine is None else Act.DESTROY
        case Goal.SERVING if machine is None:
            return Act.PUT_DOWN
        case _ if machine is None:
            return Act.REST if instance.machine_id is None else Act.FORGET
        case _:
            return BY_MACHINE[machine.state][goal]


def _towards_ready(instance: Instance, machine: Machine | None, now: datetime, patience: Patience) -> Act:
    """The app comes first where the Instance has one of its own, then the address that leads into it. The volume
    comes before the Machine, because it decides the host."""
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
    if _is_lost(instance, machine, now, patience):
        return Act.MOVE_AWAY
    return BY_MACHINE[machine.state][Goal.READY]


def _is_lost(instance: Instance, machine: Machine, now: datetime, patience: Patience) -> bool:
    """Its host has been out of reach for too long."""
    down = instance.host_down_since
    return not machine.host_ok and down is not None and now - down >= patience.host


def _limit(state: State, patience: Patience) -> timedelta:
    match state:
        case State.PROVISIONING | State.WAKING:
            return patience.bring_up
        case State.DRAINING:
            return patience.drain
        case State.SUSPENDING | State.STOPPING:
            return patience.put_down
        case _:
            return timedelta.max  # at rest, or to be tried until it is done


def overdue(instance: Instance, now: datetime, patience: Patience = USUAL) -> bool:
    """Whether it has been on its way for longer than it may: to be taken up and moved on."""
    return now - instance.state_since >= _limit(instance.state, patience)
