"""Says whether the Machine works, so that it is not put to sleep meanwhile."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from golden.guard.leases import Held

QUIET_S: Final = 60.0
"""A stream on which nothing moved for so long no longer keeps the Machine awake."""


class Exchange(Protocol):
    """A request and its answer, or a WebSocket."""

    streaming: bool
    """The answer, or the WebSocket, has begun."""
    moved_at: float
    """When payload last went over a stream: a `clock.monotonic()`."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Whether the Machine works, why, how many exchanges are open, and which work leases are held."""

    busy: bool
    reason: str | None
    open_streams: int
    leases: tuple[Held, ...] = ()


def busy(exchanges: Iterable[Exchange], leases: tuple[Held, ...] = (), *, now: float) -> Busy:
    """What `exchanges` say at `now`, a `clock.monotonic()`, and the work `leases` that are held.

    A request that waits for its answer counts however long it takes: the App is thinking. An answer or
    a WebSocket that has begun counts while payload moves on it, so that a forgotten tab does not.
    """
    count, reason = 0, None
    for exchange in exchanges:
        count += 1
        if not exchange.streaming:
            reason = reason or "open request"
        elif now - exchange.moved_at <= QUIET_S:
            reason = reason or "open stream"
    if leases:
        reason = reason or f"work: {leases[0].reason}"
    return Busy(reason is not None, reason, count, leases)
