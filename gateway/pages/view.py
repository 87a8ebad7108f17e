"""What a page shows of an Instance on its way to ready, and the rules of its bar.

`assets/rules.js` repeats `bar`, `remaining` and `slow` for the page that is already open; a test in a browser holds the
two to the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from provisioner.instance import State


class StepState(StrEnum):
    """How far one step of a wake is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


STEP_NAMES: Final = ("reserve", "boot", "resume", "network", "app", "open")
"""Every step there is, in order. A wake has five of them: a Machine either boots or resumes."""

UNKNOWN_USUAL_S: Final = 1.0
"""Weight in the bar of a step whose usual time we have not learnt yet, in seconds."""

SLOW_FACTOR: Final = 2.0
SLOW_BY_S: Final = 0.5
"""A step is slow when it takes longer than 95 of 100 did (twice the median as long as we cannot tell), but not before
it is late by what a person feels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step as a page shows it. Times in seconds."""

    name: str
    state: StepState = StepState.WAITING
    took_s: float | None = None
    """Duration of a finished step, time so far of a running one, None before it began."""
    usual_s: float | None = None
    """Its median over recent wakes; None while we know none."""
    slow_s: float | None = None
    """What 95 of 100 recent wakes kept within."""

    def __post_init__(self) -> None:
        if self.name not in STEP_NAMES:
            raise ValueError(f"{self.name!r} is no step: the pages have words for {', '.join(STEP_NAMES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """An Instance as its owner may see it: no ids, no addresses, no machine words."""

    state: State
    steps: tuple[StepView, ...]
    since: datetime
    """When this way to ready began; aware. Another value tells an open page that a new way has begun."""
    eta_s: float | None = None
    """Seconds still to go, of a failed one until the next attempt; None when we cannot honestly say."""
    attempt: int = 1
    attempts: int | None = None
    """How many there will be at most before we stop trying by ourselves; None if nobody can say."""
    place: int | None = None
    """Place in line, 1 being next; None when not queued."""
    error: str | None = None
    """Why the attempt before this one failed, or the last one, in words for the owner; never an exception's text."""

    given_up: bool = False
    """Nobody tries any more by themselves: a later visit does, or an operator."""

    @property
    def ready(self) -> bool:
        """Whether the App may be opened now."""
        return self.state is State.ACTIVE

    def as_json(self) -> dict[str, Any]:
        """The body of `/_gateway/instance` and of each `instance` event of `/_gateway/events`."""
        return {
            "state": self.state.value,
            "ready": self.ready,
            "steps": [
                {
                    "name": s.name,
                    "state": s.state.value,
                    "took_s": _ms(s.took_s),
                    "usual_s": _ms(s.usual_s),
                    "slow_s": _ms(s.slow_s),
                }
                for s in self.steps
            ],
            "since": self.since.isoformat(timespec="milliseconds"),
            "eta_s": _ms(self.eta_s),
            "attempt": self.attempt,
            "attempts": self.attempts,
            "given_up": self.given_up,
            "place": self.place,
            "error": self.error,
        }


def bar(steps: Sequence[StepView], *, before: float = 0.0) -> float:
    """How full the bar is, 0 to 1: never less than `before`, and 1 only when every step is done.

    Each step owns a part of the bar as long as its usual time. A running step fills four fifths of its part within
    that time and then ever more slowly, so that a late step still moves and never claims to be done.
    """
    whole = sum(_weight(s) for s in steps)
    if whole <= 0:
        return before
    if all(s.state is StepState.DONE for s in steps):
        return 1.0
    return max(before, sum(_weight(s) * _filled(s) for s in steps) / whole)


def remaining(steps: Sequence[StepView]) -> float | None:
    """Seconds still to go if what is left takes its usual time; None if a usual time is missing or a step failed."""
    left = 0.0
    for s in steps:
        if s.state is StepState.DONE:
            continue
        if s.state is StepState.FAILED or s.usual_s is None:
            return None
        left += max(0.0, s.usual_s - (s.took_s or 0.0))
    return left


def slow(steps: Sequence[StepView]) -> bool:
    """Whether a running step takes so long that the page should say so."""
    return any(
        s.state is StepState.RUNNING
        and s.usual_s is not None
        and (s.took_s or 0.0) > max(s.usual_s * SLOW_FACTOR if s.slow_s is None else s.slow_s, s.usual_s + SLOW_BY_S)
        for s in steps
    )


def _weight(s: StepView) -> float:
    return UNKNOWN_USUAL_S if s.usual_s is None else max(s.usual_s, 0.05)  # a step of no time keeps a visible sliver


def _filled(s: StepView) -> float:
    if s.state is StepState.DONE:
        return 1.0
    if s.state is StepState.WAITING:
        return 0.0
    x = (s.took_s or 0.0) / _weight(s)
    # The two arms meet at x = 1 with equal slope: no jerk when a step turns late.
    return 0.8 * x if x <= 1 else 1 - 0.2 / (1 + 4 * (x - 1))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
