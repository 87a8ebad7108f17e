"""What keeps Machines awake, in Postgres."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from provisioner.idle import Vigil
from provisioner.instance import UserId
from provisioner.store.database import Tables, queries

_queries: Final = queries("awake")


class KeptAwake(Tables):
    """`provisioner.awake.Vigils`, whose docstrings hold here."""

    async def keep_awake(self, user_id: UserId, until: datetime, *, asked: datetime, actor: str) -> bool:
        row = await _queries.keep_awake(
            self._pool, user_id=user_id, until=until, asked=asked, actor=actor, now=self._clock.now()
        )
        return row is not None

    async def kept_awake_until(self, user_id: UserId) -> datetime | None:
        until: datetime | None = await _queries.kept_awake_until(self._pool, user_id=user_id)
        return until

    async def note_vigils(self, reasons: Mapping[UserId, str], *, going_on: timedelta) -> None:
        now = self._clock.now()
        await _queries.note_vigils(
            self._pool, user_ids=list(reasons), reasons=list(reasons.values()), now=now, since=now - going_on
        )

    async def vigils_of(self, user_id: UserId, *, limit: int = 50) -> Sequence[Vigil]:
        return [Vigil(**dict(row)) async for row in _queries.vigils_of(self._pool, user_id=user_id, most=limit)]

    async def naps(self, *, since: datetime, shorter_than: timedelta, at_least: int) -> Mapping[UserId, int]:
        rows = _queries.naps(self._pool, since=since, shorter_than=shorter_than, at_least=at_least)
        return {UserId(row["user_id"]): row["naps"] async for row in rows}
