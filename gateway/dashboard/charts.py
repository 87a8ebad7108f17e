"""Charts as inline SVG, from numbers to text. Pure. Colours and sizes of type are the style sheet's, by class."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, log10
from statistics import median_low

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 190
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 28
Points = Sequence[tuple[datetime, float]]
X = Callable[[datetime], float]
Y = Callable[[float], float]


def lines(
    series: Mapping[str, Points], *, since: datetime, until: datetime, label: str, target: float | None = None
) -> Markup:
    """Lines over time, in seconds. A gap in the points is a gap in the line; `target` is a dashed line across."""
    values = [value for points in series.values() for _, value in points]
    top = _nice(max([*values, target or 0.0, 0.1]))
    span = (until - since).total_seconds() or 1.0

    def x(at: datetime) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - since).total_seconds() / span

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)

    parts = [_grid(top, y), _hours(since, until, x)]
    if target is not None:
        at = f"{y(target):.1f}"
        parts.append(f'<line class="target" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
    for number, (name, points) in enumerate(series.items()):
        parts.append(_line(points, x, y, number, escape(name)))
    return _svg("".join(parts), label)


def columns(series: Mapping[str, Points], *, since: datetime, until: datetime, span: timedelta, label: str) -> Markup:
    """Counts over time, one on top of the other; a point stands for the `span` that begins with it."""
    stacks: dict[datetime, float] = {}
    for points in series.values():
        for at, n in points:
            stacks[at] = stacks.get(at, 0) + n
    top, width = _whole(max(stacks.values(), default=0)), (WIDTH - LEFT - RIGHT) * (span / (until - since))

    def x(at: datetime) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((at - since) / (until - since))

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)

    parts, below = [_grid(top, y), _hours(since, until, x)], dict.fromkeys(stacks, 0.0)
    for number, (name, points) in enumerate(series.items()):
        for at, n in points:
            high, low = y(below[at] + n), y(below[at])
            below[at] += n
            parts.append(
                f'<rect class="part s{number}" x="{x(at) + 1.5:.1f}" y="{high:.1f}" width="{width - 3:.1f}"'
                f' height="{low - high:.1f}"><title>{escape(name)}: {n:.0f} from {at:%H:%M} on</title></rect>'
            )
    return _svg("".join(parts), label)


def bars(counts: Sequence[tuple[str, int]], *, label: str) -> Markup:
    """Counts by name, the largest first."""
    if not counts:
        return Markup("")
    most, row = max(n for _, n in counts), 26
    parts = []
    for number, (name, n) in enumerate(counts):
        y, width = number * row, max(3.0, 340 * n / most)
        parts.append(
            f'<text class="name" x="226" y="{y + 17}" text-anchor="end">{escape(name[:34])}</text>'
            f'<rect class="bar" x="236" y="{y + 5}" width="{width:.1f}" height="16" rx="4"/>'
            f'<text class="n" x="{244 + width:.1f}" y="{y + 17}">{n}</text>'
        )
    return _svg("".join(parts), label, height=len(counts) * row + 6)


def _svg(inner: str, label: str, *, height: int = HEIGHT) -> Markup:
    return Markup(  # noqa: S704  numbers, and names that were escaped
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{inner}</svg>'
    )


def _line(points: Points, x: X, y: Y, number: int, name: str) -> str:
    if not points:
        return ""
    steps = [b[0] - a[0] for a, b in pairwise(points)]
    usual = median_low(steps) * 1.5 if steps else timedelta(0)
    path, last = [], None
    for at, value in points:
        joined = last is not None and at - last <= usual
        path.append(f"{'L' if joined else 'M'}{x(at):.1f} {y(value):.1f}")
        last = at
    dots = "".join(
        f'<circle class="dot s{number}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="2.5">'
        f"<title>{name}: {value:.2f} s at {at:%H:%M}</title></circle>"
        for at, value in points
    )
    return f'<path class="line s{number}" d="{"".join(path)}"/>{dots}'


def _grid(top: float, y: Y) -> str:
    parts = []
    for part in range(4):
        value = top * part / 3
        at = f"{y(value):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        words = f"{value:g}" if top >= 1 else f"{value:.2f}"
        parts.append(f'<text class="axis" x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{words}</text>')
    return "".join(parts)


def _hours(since: datetime, until: datetime, x: X) -> str:
    hours = (until - since).total_seconds() / 3600
    every = next((n for n in (1, 3, 6, 12, 24, 48, 96) if hours / n <= 9), 168)
    at = since.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    parts = []
    while at < until and x(at) < WIDTH - 30:  # beyond, the words would be cut
        if at.hour % min(every, 24) == 0 and (every <= 24 or at.toordinal() % (every // 24) == 0):
            words = f"{at:%H:%M}" if every < 24 else f"{at:%d %b}"
            parts.append(f'<text class="axis" x="{x(at):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{words}</text>')
        at += timedelta(hours=1)
    return "".join(parts)


def _nice(value: float) -> float:
    """The next of 1.2, 1.5, 3, 6, 9 times a power of ten: a third of it can be written out."""
    power = 10.0 ** (ceil(log10(value)) - 1)
    return next((n * power for n in (1.2, 1.5, 3, 6, 9) if n * power >= value), 12 * power)


def _whole(value: float) -> float:
    """The next of 3, 6, 9, 12, 15, 21, 30, 45 …, so that a grid of three parts stands at whole numbers."""
    power: int = 10 ** max(0, ceil(log10(max(value, 1) / 9)))
    tops = (n * power for n in (12, 15, 21, 30, 45, 60, 90))
    return next(top / 10 for top in tops if top % 30 == 0 and top >= 10 * value)
