"""Says whether the Machine works, so that it is not put to sleep meanwhile."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

QUIET_S: Final = 60.0
"""A stream on which nothing moved for so long no longer keeps the Machine awake."""


class Stream(Protocol):
    """An exchange or a tunnel."""

    @property
    def moved_at(self) -> float:
        """When payload last went either way, on the loop's clock."""

    @property
    def waiting(self) -> bool:
        """A request whose answer has not begun."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Whether the Machine works, why, and how many streams are open."""

    busy: bool
    reason: str | None
    open_streams: int


def busy(streams: Iterable[Stream], *, now: float) -> Busy:
    """What `streams` say at `now`, on the loop's clock.

    A request that waits for its answer counts however long it takes: the App is thinking. An answer or
    a WebSocket that has begun counts while payload moves on it, so that a forgotten tab does not.
    """
    count, reason = 0, None
    for stream in streams:
        count += 1
        if stream.waiting:
            reason = reason or "open request"
        elif now - stream.moved_at <= QUIET_S:
            reason = reason or "open stream"
    return Busy(reason is not None, reason, count)
