"""Shared token buckets in Postgres: one row for each, one statement for each turn."""

from typing import TYPE_CHECKING, Any, Final

from provisioner.store.database import queries
from provisioner.turns import Turns

_queries: Final = queries("turns")


class TurnTable:
    """`provisioner.turns.Turns`. Times are the database's, so clocks of replicas do not matter."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def take(self, action: str, thing: str, *, per_second: float, burst: int) -> float:
        return float(
            await _queries.take_turn(
                self._pool, action=action, thing=thing, interval_s=1 / per_second, burst=float(burst)
            )
        )

    async def give_back(self, action: str, thing: str, *, per_second: float) -> None:
        await _queries.return_turn(self._pool, action=action, thing=thing, interval_s=1 / per_second)

    async def pause(self, action: str, thing: str, seconds: float, *, per_second: float, burst: int) -> None:
        await _queries.pause_turns(
            self._pool,
            action=action,
            thing=thing,
            seconds=seconds,
            interval_s=1 / per_second,
            burst=float(burst),
        )


if TYPE_CHECKING:

    def _are_turns(table: TurnTable) -> Turns:
        return table
