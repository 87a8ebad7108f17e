"""Numbers out of rounds: medians, ratios of the same turn, and how they are written."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

Figures = Mapping[str, float]
"""What one run of a workload says, by name of the figure: {"req_s": 21_800.0, "p99_ms": 6.6}."""


class Rounds:
    """Figures of every system, turn by turn. A system that a workload leaves out simply has none."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, system: str, figures: Figures) -> None:
        """The next turn of `system` for these figures."""
        for name, value in figures.items():
            self._values[name, system].append(value)

    def plain(self) -> list[tuple[str, str, list[float]]]:
        """All of it as figure, system, values: to be written down."""
        return [(figure, system, values) for (figure, system), values in self._values.items()]

    def replace(self, rows: Iterable[tuple[str, str, list[float]]]) -> None:
        """Take over what another run found, instead of what is here under the same figures and systems."""
        for figure, system, values in rows:
            self._values[figure, system] = list(values)

    def of(self, figure: str, system: str) -> Sequence[float]:
        """Turn after turn; empty if it was not measured."""
        return self._values.get((figure, system), [])

    def median(self, figure: str, system: str) -> float | None:
        values = self.of(figure, system)
        return median(values) if values else None

    def ratio(self, figure: str, ours: str, peer: str) -> float | None:
        """Median over the turns of ours ÷ peer: what disturbs a whole turn disturbs both and cancels out."""
        return median_ratio(self.of(figure, ours), self.of(figure, peer))

    def systems(self) -> list[str]:
        """Everybody that has a figure, in order of first appearance."""
        return list(dict.fromkeys(system for _, system in self._values))


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float | None:
    """The median of ours ÷ peer, pairwise. None without a pair; a peer of zero does not count."""
    ratios = [a / b for a, b in zip(ours, peer, strict=False) if b]
    return median(ratios) if ratios else None


def spread(values: Iterable[float]) -> float:
    """(largest − smallest) ÷ median: how much the rounds disagree."""
    ordered = sorted(values)
    return (ordered[-1] - ordered[0]) / median(ordered) if ordered and median(ordered) else 0.0


def written(value: float | None) -> str:
    """Three figures that mean something: 21,800; 142; 45.9; 0.43; –."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
        digits = len(str(int(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
