"""Instances that wake and sleep too often: each nap costs a suspend, a resume and somebody's patience for nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WINDOW: Final = timedelta(hours=6)
"""How far back naps count."""
NAP: Final = timedelta(minutes=5)
"""A shorter sleep than this was hardly worth it."""
OFTEN: Final = 3
"""So many naps within WINDOW are flapping; each further OFTEN doubles the quiet time once more."""
FACTOR_CAP: Final = 8


@dataclass(frozen=True, slots=True)
class Flap:
    """So many naps lately; quiet time before the next suspend is `factor` times the plan's."""

    naps: int
    factor: int


def flap(naps: int) -> Flap | None:
    """What `naps` within WINDOW mean; None: all is well.

    The longer quiet time makes naps rarer, and the count falls with them, so it settles where both agree: something
    that knocks every minute is left awake for an hour or two at a time instead of being put to sleep 90 times a day.
    """
    if naps < OFTEN:
        return None
    return Flap(naps, min(FACTOR_CAP, 2 ** (naps // OFTEN)))


def naps(sleeps: Iterable[tuple[datetime, datetime]], *, now: datetime) -> int:
    """How many of these (fell asleep at, woke at) were naps within WINDOW before `now`."""
    return sum(woke - slept < NAP and now - woke < WINDOW for slept, woke in sleeps)
