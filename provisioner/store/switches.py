"""Switches in Postgres."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from provisioner.clock import Clock
from provisioner.store.changes import Announcements
from provisioner.store.database import Tables, queries
from provisioner.switches import Position, Switch, SwitchRecords

_queries: Final = queries("switches")


class SwitchTable(Tables):
    """`provisioner.switches.SwitchRecords`, whose docstrings hold here."""

    def __init__(self, pool: Any, clock: Clock, *, announced: Announcements) -> None:
        super().__init__(pool, clock)
        self._announced = announced

    async def positions(self) -> Sequence[Position]:
        return [_position(row) async for row in _queries.all_switches(self._pool)]

    async def flip(self, name: Switch, is_on: bool, message: str, *, actor: str) -> Position:
        row = await _queries.flip_switch(
            self._pool, name=name.value, is_on=is_on, message=message, actor=actor, now=self._clock.now()
        )
        return _position(row)

    async def switch_changes(self) -> AsyncGenerator[str | None, None]:
        async with aclosing(self._announced.hear("switch_changed")) as words:
            async for word in words:
                yield word


def _position(row: Any) -> Position:
    return Position(**{**dict(row), "name": Switch(row["name"])})


if TYPE_CHECKING:

    def _are_records(table: SwitchTable) -> SwitchRecords:
        return table
