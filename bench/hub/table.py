"""The table of `make bench-hub`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds until the App's first answer: of people who came alone, and of crowds who came at once."""

    alone: Sequence[float]
    together: Sequence[Sequence[float]]


def table(own_boot: float, waits: Mapping[str, Waits]) -> str:
    """Milliseconds, with those beyond the App's own boot in brackets; of crowds, medians over the crowds."""
    size = max((len(crowd) for wait in waits.values() for crowd in wait.together), default=0)
    rows = [
        "From a signed-in first visit to the App's first answer, ms; in brackets what is beyond the App's own boot",
        f"({own_boot * 1e3:.0f} ms, nobody else starting). A Machine starts our Guard, which starts the App. Fly takes",
        "no time here, but allows an app one new Machine a second: a crowd of newcomers waits for that.",
        "",
        f"| system | one person | {size} at once, median | {size} at once, slowest |",
        "|---|---:|---:|---:|",
    ]
    for name, wait in waits.items():
        alone = median(wait.alone)
        middle = median(median(crowd) for crowd in wait.together)
        slowest = median(max(crowd) for crowd in wait.together)
        cells = " | ".join(f"{s * 1e3:.0f} ({(s - own_boot) * 1e3:.0f})" for s in (alone, middle, slowest))
        rows.append(f"| {name} | {cells} |")
    return "\n".join(rows)
