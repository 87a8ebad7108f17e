"""Small pictures from numbers, as shapes that a template draws as inline SVG. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 100.0
"""Of a strip, in its own units: as wide as the slowest of its list."""
LEAST: Final = 0.6
"""A piece of no time keeps a visible sliver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a strip: `name` is a step's, `x` and `width` in the strip's units."""

    name: str
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A column: `height` from 0 to 1 of the room there is; `label` for whoever cannot see it or points at it."""

    height: float
    label: str


def strip(steps: Mapping[str, float], *, longest_s: float) -> list[Piece]:
    """Steps one after the other, in a strip that is full for a wake of `longest_s` seconds."""
    whole = max(longest_s, sum(steps.values()), 1e-9)
    pieces: list[Piece] = []
    x = 0.0
    for name, took in steps.items():
        width = max(LEAST, took / whole * WIDTH)
        pieces.append(Piece(name=name, x=round(x, 2), width=round(width, 2)))
        x += width
    return pieces


def bars(values: Sequence[float], labels: Sequence[str], *, least_top: float) -> list[Bar]:
    """A column for each value, the highest as high as there is room; values below `least_top` never fill it."""
    top = max([least_top, *values])
    return [
        Bar(height=round(max(0.0, value) / top, 4), label=label) for value, label in zip(values, labels, strict=True)
    ]
