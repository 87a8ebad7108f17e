"""Doing things no faster than so many a second."""

from provisioner.clock import Clock


class Pace:
    """Turns, evenly spaced. For one event loop; concurrent calls are fine, each gets a turn of its own."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock, self._gap = clock, 1 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        """Return when it is our turn. A turn whose taker was cancelled is lost."""
        now = self._clock.monotonic()
        at = max(now, self._next)
        self._next = at + self._gap
        if at > now:
            await self._clock.sleep(at - now)

    def rest(self, seconds: float) -> None:
        """No turn before so many seconds have passed: somebody asked us to slow down."""
        self._next = max(self._next, self._clock.monotonic() + seconds)
