"""The words of the domain, and the life of an Instance as one table."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
MachineId = NewType("MachineId", str)


class State(StrEnum):
    """Where an Instance is in its life. The value is what Postgres stores."""

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    DRAINING = "draining"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    STOPPED = "stopped"
    WAKING = "waking"
    FAILED = "failed"
    DELETING = "deleting"


ASLEEP: Final = frozenset({State.SUSPENDED, State.STOPPED})


class Isolation(StrEnum):
    """How far an Instance is kept from others at Fly. The value is what Postgres stores."""

    APP = "app"  # an app, a private network and a Flycast address of its own
    MACHINE = "machine"  # a Machine in the app that all share, reached at its own address


class Event(StrEnum):
    """What may happen to an Instance."""

    READY = "ready"
    FAIL = "fail"
    RETRY = "retry"
    DRAIN = "drain"
    HIT = "hit"
    SUSPEND = "suspend"
    STOP = "stop"
    ASLEEP = "asleep"
    WAKE = "wake"
    DELETE = "delete"


_S, _E = State, Event
STEPS: Final[dict[tuple[State, Event], State]] = {
    (_S.PROVISIONING, _E.READY): _S.ACTIVE,  # the App answered: traffic may flow
    (_S.PROVISIONING, _E.FAIL): _S.FAILED,  # waits in provisioning_queue
    (_S.FAILED, _E.RETRY): _S.PROVISIONING,
    (_S.ACTIVE, _E.DRAIN): _S.DRAINING,  # quiet: about to be put to sleep
    (_S.ACTIVE, _E.WAKE): _S.WAKING,  # found asleep behind our back
    (_S.DRAINING, _E.HIT): _S.ACTIVE,  # somebody came back within the grace
    (_S.DRAINING, _E.SUSPEND): _S.SUSPENDING,
    (_S.DRAINING, _E.STOP): _S.STOPPING,
    (_S.SUSPENDING, _E.ASLEEP): _S.SUSPENDED,
    (_S.SUSPENDING, _E.STOP): _S.STOPPING,  # the platform refused to suspend it
    (_S.SUSPENDING, _E.WAKE): _S.WAKING,  # Fly cancels the snapshot and goes on
    (_S.SUSPENDED, _E.WAKE): _S.WAKING,
    (_S.SUSPENDED, _E.STOP): _S.STOPPING,  # second stage: the snapshot is given up
    (_S.STOPPING, _E.ASLEEP): _S.STOPPED,
    (_S.STOPPING, _E.WAKE): _S.WAKING,
    (_S.STOPPED, _E.WAKE): _S.WAKING,
    (_S.WAKING, _E.READY): _S.ACTIVE,
    (_S.WAKING, _E.FAIL): _S.STOPPED,  # did not come up; the next request tries again
    **{(state, _E.DELETE): _S.DELETING for state in _S if state is not _S.DELETING},
}
"""Every legal step. docs/architecture.md draws it; SQL takes each as a compare-and-set."""


class IllegalStep(Exception):
    """A pair of state and event that is not in STEPS. A bug of ours; nothing was changed."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event} is no legal event for an Instance that is {state}")
        self.state, self.event = state, event


def step(state: State, event: Event) -> State:
    """The state after `event`. Raises IllegalStep for a pair that is not in STEPS."""
    try:
        return STEPS[state, event]
    except KeyError:
        raise IllegalStep(state, event) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """The size of a Machine. `memory_mb` in steps of 256."""

    cpu_kind: str = "shared"
    cpus: int = 1
    memory_mb: int = 512

    def __str__(self) -> str:
        """As Fly's people write it, `shared-cpu-2x:2048MB`, and as it is recorded."""
        return f"{self.cpu_kind}-cpu-{self.cpus}x:{self.memory_mb}MB"

    @classmethod
    def parse(cls, text: str) -> "Guest":
        """The guest that `str` wrote. Raises ValueError."""
        match = re.fullmatch(r"([a-z]+)-cpu-(\d+)x:(\d+)MB", text)
        if match is None:
            raise ValueError(f"{text!r} is no size of a Machine")
        return cls(cpu_kind=match[1], cpus=int(match[2]), memory_mb=int(match[3]))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a ready Instance answers: an IP literal and a TCP port, reached in clear on the private network."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Our record of one user's environment, with or without a Machine. One row of `user_instances`.

    `private_ip` is where the gateway reaches it: the Machine's own address, or with isolation APP the app's
    `flycast_ip`. `app_id` is Fly's id of its own app, None until that is known to exist.
    """

    user_id: UserId
    id: UUID
    email: str
    state: State
    app_name: str
    machine_name: str
    region: str
    machine_id: MachineId | None
    volume_id: str | None
    private_ip: str | None
    image: str
    last_active: datetime
    state_since: datetime
    created_at: datetime
    error: str | None
    isolation: Isolation = Isolation.MACHINE
    app_id: str | None = None
    flycast_ip: str | None = None
    host_down_since: datetime | None = None
    guest: Guest | None = None
    """The size of its Machine as we last made or changed it; None: not known."""
    volume_gb: int | None = None
    """The size of its volume; None: not known."""
    former_image: str | None = None
    """What its Machine ran before `image`; None: nothing else."""
