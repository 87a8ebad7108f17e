"""Times as percentiles, and the targets that they are held against. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self


@dataclass(frozen=True, slots=True)
class Times:
    """What was added to the platform's own time, seconds in order, and what went wrong instead."""

    added_s: Sequence[float]
    failures: Sequence[str] = ()

    @classmethod
    def of(cls, whole_s: Iterable[float | Exception], platform_s: float) -> Self:
        """From whole times, of which the platform takes `platform_s`; a failure stands for a time that there is not."""
        told = list(whole_s)
        times = [each - platform_s for each in told if isinstance(each, float)]
        return cls(sorted(times), [str(each) for each in told if isinstance(each, Exception)])

    def at(self, percent: float) -> float:
        """The nearest-rank percentile, seconds; endless if anybody failed, for then it is not known."""
        if self.failures or not self.added_s:
            return math.inf
        return self.added_s[max(0, math.ceil(percent / 100 * len(self.added_s)) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A promise: `percent` of `what` are added at most `most_s`."""

    what: str
    percent: float
    most_s: float


TITLES: Final[Mapping[str, str]] = {
    "first_visit_app": "350 first visits in a minute, `app` isolation, each Machine made (boot 1.5 s)",
    "first_visit_pool": "350 first visits in a minute, `machine` isolation, from a pool of 360",
    "claim": "claims from the pool, one by one",
    "wake_app": "wakes from suspension, one by one, `app` isolation",
    "wake_machine": "the same, `machine` isolation",
    "crowd_app": "100 wakes at once, `app` isolation",
    "crowd_machine": "the same, `machine` isolation",
}
TARGETS: Final = (
    Target(what="first_visit_app", percent=100, most_s=15.0),
    Target(what="first_visit_pool", percent=95, most_s=0.300),
    Target(what="claim", percent=95, most_s=0.060),
    *(Target(what=f"wake_{isolation}", percent=50, most_s=0.015) for isolation in ("app", "machine")),
    *(Target(what=f"wake_{isolation}", percent=95, most_s=0.050) for isolation in ("app", "machine")),
    *(Target(what=f"crowd_{isolation}", percent=95, most_s=0.500) for isolation in ("app", "machine")),
)


def summary(measured: Mapping[str, Times]) -> dict[str, object]:
    """For one line of JSON: milliseconds, and which targets were missed."""
    told: dict[str, object] = {
        what: {
            "count": len(times.added_s),
            "failures": len(times.failures),
            **{f"p{percent}_ms": _ms(times.at(percent)) for percent in (50, 95, 99)},
        }
        for what, times in measured.items()
    }
    return {**told, "missed": [f"{t.what} p{t.percent:g}" for t in missed(measured)]}


def missed(measured: Mapping[str, Times]) -> list[Target]:
    """The targets that do not hold; what was not measured is not judged."""
    return [t for t in TARGETS if t.what in measured and not measured[t.what].at(t.percent) <= t.most_s]


def table(measured: Mapping[str, Times]) -> str:
    """In Markdown: what the gateway added, against what it may add."""
    rows = [
        ("what", "count", "failed", "p50", "p95", "p99", "worst", "may add"),
        ("---",) * 8,
        *(
            (
                TITLES[what],
                str(len(times.added_s)),
                str(len(times.failures)),
                *(_written(times.at(percent)) for percent in (50, 95, 99, 100)),
                ", ".join(_promise(t, met=t not in missed(measured)) for t in TARGETS if t.what == what),
            )
            for what, times in measured.items()
        ),
    ]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _promise(target: Target, *, met: bool) -> str:
    percent = "all" if target.percent == 100 else f"p{target.percent:g}"
    return f"{percent} ≤ {_written(target.most_s)} ({'met' if met else '**missed**'})"


def _written(seconds: float) -> str:
    return "–" if math.isinf(seconds) else f"{seconds * 1000:,.0f} ms"


def _ms(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds * 1000, 1)
