"""What an operator may hold back for a while: kept in the database, followed by every replica, asked from memory."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import structlog

from provisioner.clock import Clock

log = structlog.get_logger(__name__)

MESSAGE_MOST: Final = 300


class Switch(StrEnum):
    """What may be held back."""

    PAUSE_PROVISIONING = "pause_provisioning"  # nobody new gets a Machine; whoever comes keeps a place in the queue
    PAUSE_SWEEPS = "pause_sweeps"  # no Machine is put to sleep by itself
    MAINTENANCE = "maintenance"  # the public listener answers 503 to everything but health checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How a switch stands, since when, by whom and why."""

    name: Switch
    is_on: bool = False
    message: str = ""
    """For users, where the switch shows."""
    changed_at: datetime | None = None
    changed_by: str | None = None


class SwitchRecords(Protocol):
    """The switches on record."""

    async def positions(self) -> Sequence[Position]: ...

    async def flip(self, name: Switch, is_on: bool, message: str, *, actor: str) -> Position:
        """With its audit row `switch` in the same transaction; nothing is written where nothing changes."""

    def switch_changes(self) -> AsyncGenerator[str | None, None]:
        """An item for each change, from any replica, and None whenever some may have been missed."""


class Switches:
    """How they stand, from memory: no query, no waiting. All off until `follow` has read them."""

    def __init__(self) -> None:
        self._now = {name: Position(name=name) for name in Switch}
        self._watchers: list[Callable[[], None]] = []

    def on(self, name: Switch) -> bool:
        return self._now[name].is_on

    def position(self, name: Switch) -> Position:
        return self._now[name]

    def all(self) -> Sequence[Position]:
        return list(self._now.values())

    def when_changed(self, tell: Callable[[], None]) -> None:
        """Call `tell` after every change that this replica hears of. It must not raise."""
        self._watchers.append(tell)

    def stand(self, positions: Sequence[Position]) -> None:
        """From now on they stand like this."""
        self._now.update({each.name: each for each in positions})
        for tell in self._watchers:
            tell()


async def follow(records: SwitchRecords, switches: Switches, clock: Clock) -> None:
    """Keep `switches` true until cancelled. While the database is away they stay as they stood."""
    async with aclosing(records.switch_changes()) as changes:
        async for _ in changes:
            while True:
                try:
                    switches.stand(await records.positions())
                    break
                except Exception as fault:
                    log.warning("switches_not_read", error=repr(fault))
                    await clock.sleep(1.0 + clock.jitter())
