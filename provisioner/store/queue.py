"""The queue of failed provisionings in Postgres."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from provisioner.errors import Moved
from provisioner.instance import Event, State, UserId, step
from provisioner.ports import Lease, Waiting
from provisioner.store.database import Tables, queries

_queries: Final = queries("queue")


class Queue(Tables):
    """The part of `ports.Store` about `provisioning_queue`; its docstrings hold here."""

    async def put_off(
        self,
        lease: Lease,
        *,
        actor: str,
        error: str,
        words: str,
        next_retry_at: datetime,
        tries: int,
        background: bool = False,
    ) -> Waiting:
        step(State.PROVISIONING, Event.FAIL)
        row = await _queries.put_off(
            self._pool,
            user_id=lease.user_id,
            owner=lease.owner,
            fence=lease.fence,
            actor=actor,
            error=error,
            words=words,
            next_retry_at=next_retry_at,
            tries=tries,
            priority=int(background),
            now=self._clock.now(),
        )
        if row is None:
            raise Moved(f"Instance of {lease.user_id}: it is not provisioning any more, or the lease was lost")
        # The place counts others, whom that statement's snapshot need not show: asked by a second one.
        return await self.waiting(lease.user_id) or _waiting(row)

    async def waiting(self, user_id: UserId) -> Waiting | None:
        row = await _queries.find_queued(self._pool, user_id=user_id)
        return _waiting(row) if row else None

    async def due(self, *, now: datetime, limit: int) -> Sequence[Waiting]:
        return [_waiting(row) async for row in _queries.due(self._pool, now=now, most=limit)]

    async def queued(
        self, *, dead: bool | None = None, after: UserId | None = None, limit: int = 100
    ) -> Sequence[Waiting]:
        status = None if dead is None else "dead" if dead else "waiting"
        rows = _queries.queue_page(self._pool, status=status, after=after, most=limit)
        return [_waiting(row) async for row in rows]

    async def try_again(self, user_id: UserId, *, actor: str) -> Waiting | None:
        now = self._clock.now()
        return await self._try_again(user_id, at=now, anew=True, actor=actor, action="queue_retry")

    async def reschedule(self, user_id: UserId, *, at: datetime, actor: str) -> Waiting | None:
        return await self._try_again(user_id, at=at, anew=False, actor=actor, action="queue_reschedule")

    async def _try_again(self, user_id: UserId, *, at: datetime, anew: bool, actor: str, action: str) -> Waiting | None:
        changed = await _queries.try_again_at(
            self._pool, user_id=user_id, at=at, anew=anew, actor=actor, action=action, now=self._clock.now()
        )
        return None if changed is None else await self.waiting(user_id)

    async def drop(self, user_id: UserId, *, actor: str) -> bool:
        return (await _queries.drop_queued(self._pool, user_id=user_id, actor=actor, now=self._clock.now())) is not None


def _waiting(row: Any) -> Waiting:
    return Waiting(
        user_id=UserId(row["user_id"]),
        email=row["email"],
        error=row["error"],
        cause=row["cause"],
        retry_count=row["retry_count"],
        next_retry_at=row["next_retry_at"],
        since=row["created_at"],
        place=row["place"],
        dead=row["status"] == "dead",
        background=row["priority"] > 0,
    )
