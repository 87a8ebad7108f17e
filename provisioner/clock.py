"""The one door through which time and chance come in."""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Any, Protocol


class Clock(Protocol):
    """Time for everybody. Tests hand in one that only moves when told."""

    def now(self) -> datetime:
        """The wall clock, aware and in UTC: for records, never for measuring."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back: for deadlines and durations."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`. Cancellable."""

    def jitter(self) -> float:
        """A random number in [0, 1)."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)  # not a method around it: asked several times a request

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        return random.random()  # noqa: S311  spreads retries; nothing secret hangs on it


async def before(clock: Clock, deadline: float, *futures: asyncio.Future[Any]) -> bool:
    """Wait until any of `futures` is done, at the latest until `deadline` (a `clock.monotonic()` instant).

    True if one is done. The futures themselves are never cancelled, not even when this call is.
    """
    if any(future.done() for future in futures):
        return True
    alarm = asyncio.ensure_future(clock.sleep(max(0.0, deadline - clock.monotonic())))
    try:
        await asyncio.wait({alarm, *futures}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        alarm.cancel()
    return any(future.done() for future in futures)
