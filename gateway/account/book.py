"""What Postgres knows of a user's account, beside sessions and tokens. Thin: values in, values out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.account.diary import Entry
from gateway.session.records import in_words
from provisioner.instance import State, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """An account on its way out, and how often it was tried."""

    user_id: UserId
    email: str
    tries: int


class Book:
    """The queries of `sql/queries/account.sql`. Every call may raise SignInUnavailable."""

    def __init__(self, pool: Any, sql: Any) -> None:
        """`sql` are the named queries, handed in with the pool by the composition root."""
        self._pool, self._sql = pool, sql

    async def everything(self, user_id: UserId) -> dict[str, Any]:
        """All that is known of the user by subject; null or empty where nothing is."""
        async with in_words():
            row = await self._sql.everything(self._pool, user_id=user_id)
        return {subject: None if text is None else json.loads(text) for subject, text in row.items()}

    async def life(self, user_id: UserId, *, since: datetime) -> list[Entry]:
        """Every step of their machine's life since then, oldest first."""
        async with in_words():
            return [_entry(row) async for row in self._sql.life_since(self._pool, user_id=user_id, since=since)]

    async def wakes(self, user_id: UserId, *, limit: int) -> list[Entry]:
        """The steps around their last wakes, oldest first; enough for `limit` of them."""
        async with in_words():
            # A wake is two rows; a third for those who came back within the grace.
            return [_entry(row) async for row in self._sql.last_wakes(self._pool, user_id=user_id, most=3 * limit)]

    async def note(self, action: str, user_id: UserId, *, now: datetime, detail: Mapping[str, object]) -> None:
        """An audit row of what the user did."""
        async with in_words():
            await self._sql.note(
                self._pool,
                actor=str(user_id),
                action=action,
                user_id=user_id,
                detail=json.dumps(dict(detail)),
                now=now,
            )

    async def ask_deletion(self, user_id: UserId, email: str, *, now: datetime) -> None:
        """Write down that the account goes. At once nobody is signed in as this user any more."""
        async with in_words():
            await self._sql.ask_deletion(self._pool, user_id=user_id, email=email, now=now)

    async def take_deletion(self, *, now: datetime, until: datetime) -> Deletion | None:
        """One that is due; nobody else gets it before `until`."""
        async with in_words():
            row = await self._sql.take_deletion(self._pool, now=now, until=until)
        return None if row is None else Deletion(**row)

    async def put_off_deletion(self, user_id: UserId, *, error: str, at: datetime) -> None:
        async with in_words():
            await self._sql.put_off_deletion(self._pool, user_id=user_id, error=error, at=at)

    async def finish_deletion(self, user_id: UserId, *, detail: Mapping[str, object], now: datetime) -> None:
        """Forget the rest, and write the receipt."""
        async with in_words():
            await self._sql.finish_deletion(self._pool, user_id=user_id, detail=json.dumps(dict(detail)), now=now)


def _entry(row: Any) -> Entry:
    detail = json.loads(row["detail"])
    return Entry(
        at=row["at"],
        action=row["action"],
        actor=row["actor"],
        from_state=None if row["from_state"] is None else State(row["from_state"]),
        to_state=State(row["to_state"]),
        path=str(detail.get("path", "")),
        steps=detail.get("steps") or {},
    )
