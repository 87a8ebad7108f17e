"""Tables by rich: times as how long ago, states in colour, nothing cut that a script would want (that takes --json)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

COLOURS: Final = {"active": "green", "failed": "red", "suspended": "dim", "stopped": "dim", "good": "green"}
COLOURS_OF_TROUBLE: Final = {"bad": "bold red", "warn": "yellow", "dead": "red"}


def show(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "nothing") -> None:
    """A table on stdout; plain where stdout is no terminal."""
    console, listed = Console(), list(rows)
    if not listed:
        console.print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in listed:
        table.add_row(*(_cell(value) for value in row))
    # Not a terminal: as wide as it takes, or a pipe would get broken ids.
    Console(width=None if console.is_terminal else 400).print(table)


def ago(text: str | None) -> str:
    """How long ago an instant was."""
    if text is None:
        return "never"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    ahead, seconds = ("in " if seconds < -1 else ""), abs(seconds)
    for limit, unit, word in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{ahead}{seconds / unit:.0f} {word}"
    return f"{ahead}{seconds / 86_400:.0f} d"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    colour = COLOURS.get(text) or COLOURS_OF_TROUBLE.get(text)
    text = text.replace("[", "\\[")
    return f"[{colour}]{text}[/]" if colour else text
