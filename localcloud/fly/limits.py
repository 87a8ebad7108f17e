"""Fly's rate limits: token buckets, one for each action on each thing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Final


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` calls for ever, `burst` at once."""

    per_second: float
    burst: int


DOCUMENTED: Final[Mapping[str, Rate]] = {
    "": Rate(1, 3),  # every action that is not named
    "get_machine": Rate(5, 10),
    "delete_app": Rate(100 / 60, 100),
}
"""The limits of Fly's Machines API page: a request a second for an action on an identifier."""

UNLIMITED: Final[Mapping[str, Rate]] = {}


@dataclass(slots=True)
class Limits:
    """Counts calls. `retry_after` says whether a refusal tells when to come back: Fly does not promise it."""

    rates: Mapping[str, Rate]
    retry_after: bool = True
    _buckets: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def refused(self, action: str, identifier: str, now: float) -> float | None:
        """Take a token at `now`, in monotonic seconds: None, or the seconds until there is one."""
        rate = self.rates.get(action, self.rates.get(""))
        if rate is None:
            return None
        tokens, filled_at = self._buckets.get((action, identifier), (float(rate.burst), now))
        tokens = min(float(rate.burst), tokens + (now - filled_at) * rate.per_second)
        if tokens < 1:
            self._buckets[action, identifier] = (tokens, now)
            return (1 - tokens) / rate.per_second
        self._buckets[action, identifier] = (tokens - 1, now)
        return None


def whole_seconds(seconds: float) -> int:
    """For a Retry-After header."""
    return max(1, ceil(seconds))
