"""The life of a Machine at Fly, as one table."""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Fly's words. `replaced` is only ever the state of an old version, so no Machine is in it."""

    CREATED = "created"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    RESTARTING = "restarting"
    UPDATING = "updating"
    FAILED = "failed"
    LAUNCH_FAILED = "launch_failed"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"


class Event(StrEnum):
    """What may happen to a Machine, by request (first block) or by itself."""

    START = "start"
    STOP = "stop"
    SUSPEND = "suspend"
    RESTART = "restart"
    UPDATE = "update"
    DESTROY = "destroy"
    KILL = "kill"  # DELETE with force=true

    BOOTED = "booted"
    BROKE = "broke"  # an error from which a start or update may recover
    GAVE_UP = "gave_up"  # one from which nothing recovers
    EXITED = "exited"  # the main process ended
    FROZEN = "frozen"  # the snapshot is on disk
    UPDATED = "updated"  # the new version is in place and stays down
    UNLAUNCHED = "unlaunched"  # the same, asked for with skip_launch
    GONE = "gone"


_S, _E = State, Event
_FORCEABLE: Final = tuple(state for state in _S if state not in {_S.DESTROYING, _S.DESTROYED})

STEPS: Final[dict[tuple[State, Event], State]] = {
    (_S.CREATED, _E.START): _S.STARTING,
    (_S.CREATED, _E.STOP): _S.STOPPING,
    (_S.CREATED, _E.UPDATE): _S.UPDATING,
    (_S.CREATED, _E.DESTROY): _S.DESTROYING,
    (_S.CREATED, _E.BROKE): _S.FAILED,
    (_S.STARTING, _E.BOOTED): _S.STARTED,
    (_S.STARTING, _E.BROKE): _S.FAILED,
    (_S.STARTING, _E.GAVE_UP): _S.LAUNCH_FAILED,
    (_S.STARTED, _E.STOP): _S.STOPPING,
    (_S.STARTED, _E.SUSPEND): _S.SUSPENDING,
    (_S.STARTED, _E.RESTART): _S.RESTARTING,
    (_S.STARTED, _E.UPDATE): _S.UPDATING,
    (_S.STARTED, _E.EXITED): _S.STOPPED,
    (_S.STOPPING, _E.EXITED): _S.STOPPED,
    (_S.STOPPING, _E.BROKE): _S.FAILED,
    (_S.STOPPED, _E.START): _S.STARTING,
    (_S.STOPPED, _E.UPDATE): _S.UPDATING,
    (_S.STOPPED, _E.DESTROY): _S.DESTROYING,
    (_S.SUSPENDING, _E.FROZEN): _S.SUSPENDED,
    (_S.SUSPENDING, _E.START): _S.STARTED,  # the copy is cancelled and the VM goes on
    (_S.SUSPENDING, _E.EXITED): _S.STOPPED,
    (_S.SUSPENDED, _E.START): _S.STARTING,
    (_S.SUSPENDED, _E.STOP): _S.STOPPING,  # throws the snapshot away
    (_S.SUSPENDED, _E.UPDATE): _S.UPDATING,
    (_S.SUSPENDED, _E.DESTROY): _S.DESTROYING,
    (_S.RESTARTING, _E.START): _S.STARTING,
    (_S.RESTARTING, _E.BROKE): _S.FAILED,
    (_S.UPDATING, _E.START): _S.STARTING,
    (_S.UPDATING, _E.UPDATED): _S.STOPPED,
    (_S.UPDATING, _E.UNLAUNCHED): _S.CREATED,
    (_S.UPDATING, _E.BROKE): _S.FAILED,
    (_S.FAILED, _E.START): _S.STARTING,
    (_S.FAILED, _E.STOP): _S.STOPPING,
    (_S.FAILED, _E.UPDATE): _S.UPDATING,
    (_S.FAILED, _E.DESTROY): _S.DESTROYING,
    (_S.LAUNCH_FAILED, _E.GONE): _S.DESTROYED,
    (_S.DESTROYING, _E.GONE): _S.DESTROYED,
    **{(state, _E.KILL): _S.DESTROYING for state in _FORCEABLE},
}
"""Every legal step (Fly's machine-states page). What is missing is refused, and changes nothing."""

RESTING: Final = frozenset({_S.CREATED, _S.STARTED, _S.STOPPED, _S.SUSPENDED, _S.FAILED, _S.DESTROYED})
"""Where a Machine stays until somebody asks for something."""


class IllegalStep(Exception):
    """A pair that is not in STEPS."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event} is no legal event for a Machine that is {state}")
        self.state, self.event = state, event


def step(state: State, event: Event) -> State:
    """The state after `event`. Raises IllegalStep for a pair that is not in STEPS."""
    try:
        return STEPS[state, event]
    except KeyError:
        raise IllegalStep(state, event) from None


def allows(state: State, event: Event) -> bool:
    """Whether `event` is legal now."""
    return (state, event) in STEPS
