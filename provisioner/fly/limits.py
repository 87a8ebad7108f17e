"""Whose turn it is: Fly allows so many requests of each action on each Machine or app, and we keep to that.

The buckets are this process's own. Where several replicas share an app, `provisioner.turns` come on top. Should there
be a 429 all the same, `pause` makes everybody here who wants the same thing wait.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from provisioner.clock import Clock
from provisioner.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Allowance:
    """A token bucket: `burst` requests at once, refilled at `per_second`."""

    per_second: float
    burst: int


USUAL: Final = Allowance(per_second=1, burst=3)
ALLOWANCES: Final[Mapping[str, Allowance]] = {
    "get_machine": Allowance(per_second=5, burst=10),
    "delete_app": Allowance(per_second=100 / 60, burst=3),
}
"""Fly's documentation, machines/api, as of 2026-07: per action and Machine id, or app for the app's own actions."""

_TRAVEL: Final = 0.25
"""Seconds by which one request may take longer to Fly than the next. So much of the burst is kept in reserve, as Fly
counts requests when they arrive, and they may arrive closer together than they left."""

_SOON: Final = 1e-6  # seconds; what rounding of the clock may leave over after a sleep


@dataclass(slots=True)
class _Bucket:
    """Reckons when the next request may go (the generic cell rate algorithm)."""

    interval: float
    burst: int
    full_at: float = 0.0  # when all of the burst is available again
    paused_until: float = 0.0
    queue: deque[object] = field(default_factory=deque)

    def turn(self, place: int, now: float) -> float:
        """The earliest moment for whoever has `place` others in front."""
        return max(now, self.paused_until, max(self.full_at, now) + (place + 1 - self.burst) * self.interval)

    def take(self, now: float) -> None:
        self.full_at = max(self.full_at, now) + self.interval

    def give_back(self) -> None:
        self.full_at -= self.interval

    def pause(self, until: float) -> None:
        """Nothing before `until`, and no burst after it: Fly just said that there was none left."""
        self.paused_until = max(self.paused_until, until)
        self.full_at = max(self.full_at, self.paused_until + (self.burst - 1) * self.interval)

    def idle(self, now: float) -> bool:
        """As good as new, so it need not be remembered."""
        return not self.queue and self.full_at <= now and self.paused_until <= now


class Limits:
    """The buckets of all actions on all identifiers. For one event loop."""

    def __init__(self, clock: Clock, allowances: Mapping[str, Allowance] = ALLOWANCES) -> None:
        self._clock, self._allowances = clock, allowances
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._tidy_at = 256

    def __len__(self) -> int:
        return len(self._buckets)

    async def admit(self, action: str, identifier: str, *, deadline: float) -> None:
        """Return when a request may be sent, first come, first served. Cancelling gives the place back.

        Raises RateLimited, without waiting, if the turn would come after `deadline` (a `clock.monotonic()`).
        """
        bucket, ticket = self._bucket(action, identifier), object()
        bucket.queue.append(ticket)
        try:
            while (wait := self._wait(bucket, ticket, action, deadline)) > _SOON:
                await self._clock.sleep(wait)
            bucket.take(self._clock.monotonic())
        finally:
            bucket.queue.remove(ticket)

    def unused(self, action: str, identifier: str) -> None:
        """The request that was admitted never left: the next may have its turn."""
        self._bucket(action, identifier).give_back()

    def pause(self, action: str, identifier: str, seconds: float) -> None:
        """Fly answered 429: nobody sends `action` to `identifier` for `seconds`."""
        self._bucket(action, identifier).pause(self._clock.monotonic() + seconds)

    def _wait(self, bucket: _Bucket, ticket: object, action: str, deadline: float) -> float:
        now = self._clock.monotonic()
        turn = bucket.turn(bucket.queue.index(ticket), now)
        if turn > max(deadline, now) + _SOON:
            raise RateLimited(f"{action}: our turn under Fly's rate limit is too far away", retry_after=turn - now)
        return turn - now

    def _bucket(self, action: str, identifier: str) -> _Bucket:
        key = action, identifier
        if key not in self._buckets:
            self._tidy()
            allowance = self._allowances.get(action, USUAL)
            reserve = math.ceil(allowance.per_second * _TRAVEL)
            self._buckets[key] = _Bucket(1 / allowance.per_second, max(1, allowance.burst - reserve))
        return self._buckets[key]

    def _tidy(self) -> None:
        """Forget idle buckets whenever their number has doubled, so that each call pays a constant share of it."""
        if len(self._buckets) >= self._tidy_at:
            now = self._clock.monotonic()
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.idle(now)}
            self._tidy_at = max(256, 2 * len(self._buckets))
