"""Work leases: the App, or anything else in the Machine, says that it works, why, and for how long at most."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

TTL_MOST_S: Final = 3600.0
"""A lease that is not renewed ends by itself, so that a crash does not keep the Machine awake for good."""
LEASES_MOST: Final = 64
REASON_MOST: Final = 200


class NoLease(Exception):
    """It cannot be had as asked. The message is for whoever asked."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that is held now."""

    reason: str
    expires_in_s: float


class WorkLeases:
    """The leases of one Machine, by reason. They do not survive the Guard, as the App does not either.

    Time is the Machine's own monotonic clock, which stands still while it is suspended: what was left of a lease then
    is left of it afterwards.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    def put(self, reason: object, ttl_s: object) -> Held:
        """Take a lease, or renew the one with this reason: from now on for `ttl_s`, TTL_MOST_S at most.

        Raises:
            NoLease: no such reason or time, or too many at once.
        """
        if not isinstance(reason, str) or not 0 < len(reason.strip()) <= REASON_MOST or not reason.isprintable():
            raise NoLease(f"`reason` has to be a printable text of 1 to {REASON_MOST} characters")
        if isinstance(ttl_s, bool) or not isinstance(ttl_s, int | float) or not 0 < ttl_s < float("inf"):
            raise NoLease("`ttl_s` has to be a number of seconds above 0")
        self._forget()
        if reason not in self._until and len(self._until) >= LEASES_MOST:
            raise NoLease(f"there are {LEASES_MOST} leases already: give one back first")
        granted = min(float(ttl_s), TTL_MOST_S)
        self._until[reason] = self._monotonic() + granted
        return Held(reason, granted)

    def drop(self, reason: str) -> bool:
        """Give one back. Whether it was held."""
        self._forget()
        return self._until.pop(reason, None) is not None

    def held(self) -> tuple[Held, ...]:
        """All that are held now, the longest first."""
        self._forget()
        now = self._monotonic()
        held = [Held(reason, round(until - now, 3)) for reason, until in self._until.items()]
        return tuple(sorted(held, key=lambda lease: -lease.expires_in_s))

    def _forget(self) -> None:
        now = self._monotonic()
        self._until = {reason: until for reason, until in self._until.items() if until > now}
