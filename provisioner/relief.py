"""What to do about a call to Fly that failed, as a pure decision."""

from enum import StrEnum
from typing import Final

from provisioner.backoff import backoff
from provisioner.errors import (
    CloudError,
    CloudResting,
    NameTaken,
    NoCapacity,
    NotAllowed,
    NotThere,
    RateLimited,
    Refused,
    Scope,
)

ATTEMPTS: Final = 5
"""Tries inside one bring-up, for what a moment may heal; after that the queue takes over."""
HOPELESS: Final = (NotAllowed, NameTaken)
"""Asking again will not help."""
HOST_TRIES: Final = 3
"""Attempts on a full host before the disk moves to another one: hosts are often full for a moment only."""


class Relief(StrEnum):
    """The way on after a failure."""

    AGAIN = "again"
    """A moment may heal it: a lost answer, a lease, a fault, a host that is full for now."""
    ANOTHER_HOST = "another_host"
    """The host has no room for the Machine, and it is bound to it by its disk: the disk has to move."""
    ANOTHER_REGION = "another_region"
    """Nothing exists yet, so nothing binds it to a region that is full."""
    START_OVER = "start_over"
    """Nothing exists yet that anybody used: whatever was made goes, and is made anew."""
    GIVE_UP = "give_up"


def relief(fault: CloudError, attempt: int, *, provisioning: bool, regions_left: bool) -> Relief:
    """The way on after attempt number `attempt`, counting from 1, failed.

    `provisioning`: it never was ready, so its disk is empty. `regions_left`: there is one it has not been tried in.
    """
    if isinstance(fault, HOPELESS):
        return Relief.GIVE_UP
    if isinstance(fault, NotThere) and provisioning and 1 < attempt < ATTEMPTS:
        return Relief.START_OVER  # somebody took away what was made so far
    away = Relief.START_OVER if provisioning else Relief.ANOTHER_HOST
    if isinstance(fault, NoCapacity):
        match fault.scope:
            case Scope.REGION | Scope.ORGANISATION:
                # Fly's quota is per region too: its own refusal says "please consider other regions".
                return Relief.ANOTHER_REGION if provisioning and regions_left else Relief.GIVE_UP
            case Scope.VOLUME_HOST if attempt < ATTEMPTS:
                return away
            case Scope.HOST if HOST_TRIES <= attempt < ATTEMPTS:
                return away
            case _:
                pass
    return Relief.AGAIN if attempt < ATTEMPTS else Relief.GIVE_UP


def pause(fault: CloudError, attempt: int, *, chance: float) -> float:
    """Seconds before the next attempt, not less than Fly asked for. A plain refusal heals when the state moves on."""
    wait = backoff(attempt, first=1.0 if isinstance(fault, Refused) else 0.2, cap=5.0, chance=chance)
    asked = fault.retry_after if isinstance(fault, RateLimited | CloudResting) else None
    return wait if asked is None else max(wait, asked)
