"""The Guard's own targets: how fast it is there, how much it holds, what it adds to a request."""

from statistics import median
from typing import Final

from bench import guard_cpu, guard_start
from bench.figures import written

RUNS: Final = 15
REQUESTS: Final = 10_000
_TARGETS: Final = (
    ("ready_ms", "from spawn to the first answer, ms", 200.0),
    ("rss_mb", "resident memory then, MB", 35.0),
    ("cpu_one_us", "CPU added to a small request, one connection, µs", 60.0),
    ("cpu_eight_us", "CPU added to a small request, eight at once, µs", 60.0),
)


def guard_figures() -> dict[str, float]:
    """Medians, by name of the figure. Takes about twenty seconds."""
    starts, added = guard_start.starts(RUNS), guard_cpu.added(REQUESTS)
    return {
        "ready_ms": median(ready for ready, _ in starts),
        "rss_mb": median(rss for _, rss in starts),
        "cpu_one_us": median(added[1]),
        "cpu_eight_us": median(added[8]),
    }


def guard_table(figures: dict[str, float]) -> list[str]:
    """As Markdown, held against what must hold."""
    rows = ["| what | measured | must | holds |", "|---|---:|---:|---|"]
    for key, what, must in _TARGETS:
        value = figures.get(key)
        holds = "yes" if value is not None and value <= must else "**no**"
        rows.append(f"| {what} | {written(value)} | ≤ {must:g} | {holds} |")
    return rows
