"""The queue of failed provisionings in Postgres."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from provisioner.instance import UserId
from provisioner.ports import Waiting
from provisioner.store.database import Tables, queries

_queries: Final = queries("queue")


class Queue(Tables):
    """The part of `ports.Store` about `provisioning_queue`; its docstrings hold here."""

    async def enqueue(self, user_id: UserId, *, error: str, next_retry_at: datetime) -> Waiting:
        """See `ports.Store`. `retry_count` is 0 for the first failure. The user needs an Instance row."""
        while True:
            await _queries.enqueue(
                self._pool, user_id=user_id, error=error, next_retry_at=next_retry_at, now=self._clock.now()
            )
            # The place counts others, whom the first statement's snapshot need not show: asked by a second one.
            waiting = await self.waiting(user_id)
            if waiting is not None:
                return waiting

    async def waiting(self, user_id: UserId) -> Waiting | None:
        """None also for one that was given up (`dead`)."""
        row = await _queries.find_waiting(self._pool, user_id=user_id)
        return _waiting(row) if row else None

    async def due(self, *, now: datetime, limit: int) -> Sequence[Waiting]:
        return [_waiting(row) async for row in _queries.due(self._pool, now=now, most=limit)]

    async def dequeue(self, user_id: UserId) -> None:
        await _queries.dequeue(self._pool, user_id=user_id)


def _waiting(row: Any) -> Waiting:
    return Waiting(
        user_id=UserId(row["user_id"]),
        error=row["error"],
        retry_count=row["retry_count"],
        next_retry_at=row["next_retry_at"],
        place=row["place"],
    )
