"""Token buckets, each one number: the instant at which it will be full again (GCRA, ITU-T I.371).

Pure arithmetic on instants that are handed in. A full bucket need not be kept, so memory follows those who asked
lately, and not all who ever did.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from heapq import nsmallest
from math import ceil
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, and `per_s` a second in the long run."""

    per_s: float
    burst: int

    @property
    def interval_s(self) -> float:
        """Time in which one token comes back."""
        return 1 / self.per_s

    @property
    def fills_in_s(self) -> float:
        """From empty to full."""
        return self.burst / self.per_s


@dataclass(frozen=True, slots=True)
class Standing:
    """How a bucket stands, as RateLimit fields tell it (draft-ietf-httpapi-ratelimit-headers)."""

    name: str
    rate: Rate
    remaining: int
    full_in_s: float

    @property
    def fields(self) -> dict[str, str]:
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.rate.burst};w={ceil(self.rate.fills_in_s)}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={ceil(self.full_in_s)}',
        }


class Buckets(Generic[K]):
    """At most `most` of them. Beyond, those nearest to full are taken for full: that forgets least."""

    def __init__(self, *, most: int = 50_000) -> None:
        self._most = most
        self._full_at: dict[K, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: K, rate: Rate, now: float) -> float | None:
        """Take one token: None if there was one, else the seconds until there is. Refusing costs no token."""
        full_at = self._full_at.get(key, now)
        if full_at < now:
            full_at = now
        full_at += rate.interval_s
        over = full_at - now - rate.fills_in_s
        if over > 1e-9:  # floats: a token that is there up to a nanosecond is there
            return over
        if len(self._full_at) >= self._most and key not in self._full_at:
            self._make_room(now)
        self._full_at[key] = full_at
        return None

    def standing(self, name: str, key: K, rate: Rate, now: float) -> Standing:
        """How it stands, taking nothing."""
        full_in = max(0.0, self._full_at.get(key, now) - now)
        return Standing(name, rate, max(0, int(rate.burst - full_in * rate.per_s + 1e-9)), full_in)

    def _make_room(self, now: float) -> None:
        """Half of the room, so that the walk is paid for by as many takes."""
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        surplus = len(self._full_at) - self._most // 2
        if surplus > 0:
            for key in nsmallest(surplus, self._full_at, key=self._full_at.__getitem__):
                del self._full_at[key]
