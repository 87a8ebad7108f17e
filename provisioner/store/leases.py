"""Leases in Postgres: who works on an Instance now."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from provisioner.clock import Clock
from provisioner.errors import Moved
from provisioner.instance import Event, Instance, State, UserId, step
from provisioner.ports import Lease
from provisioner.store.database import Tables, queries
from provisioner.store.instances import instance_of
from provisioner.store.together import Together

_queries: Final = queries("leases")


class Leases(Tables):
    """The part of `ports.Store` about `instance_leases`; its docstrings hold here.

    Times are the replica's own. A clock that runs ahead takes leases early, which wastes work and breaks nothing:
    every write is bound to the fence, and only the latest one counts.
    """

    def __init__(self, pool: Any, clock: Clock) -> None:
        super().__init__(pool, clock)
        self._releases = Together(self._release)

    async def acquire(self, user_id: UserId, *, owner: str, ttl: timedelta) -> Lease | None:
        now = self._clock.now()
        row = await _queries.acquire_lease(self._pool, user_id=user_id, owner=owner, until=now + ttl, now=now)
        return Lease(user_id=user_id, owner=owner, fence=row["fence"], until=now + ttl) if row else None

    async def wake(
        self, user_id: UserId, state: State, *, owner: str, ttl: timedelta, actor: str
    ) -> tuple[Lease | None, Instance | None]:
        now = self._clock.now()
        row = await _queries.wake(
            self._pool,
            user_id=user_id,
            owner=owner,
            until=now + ttl,
            from_state=state,
            to_state=step(state, Event.WAKE),
            actor=actor,
            now=now,
        )
        if row is None:
            return None, None
        lease = Lease(user_id=user_id, owner=owner, fence=row["fence"], until=now + ttl)
        return lease, None if row["user_id"] is None else instance_of(row)

    async def renew(self, lease: Lease, *, ttl: timedelta) -> Lease:
        longer = replace(lease, until=self._clock.now() + ttl)
        fence = await _queries.renew_lease(
            self._pool, user_id=lease.user_id, owner=lease.owner, fence=lease.fence, until=longer.until
        )
        if fence is None:
            raise Moved(f"the lease on the Instance of {lease.user_id} was lost")
        return longer

    async def release(self, lease: Lease) -> None:
        await self._releases.add(lease)

    async def _release(self, leases: Sequence[Lease]) -> None:
        await _queries.release_leases(
            self._pool,
            user_ids=[lease.user_id for lease in leases],
            owners=[lease.owner for lease in leases],
            fences=[lease.fence for lease in leases],
        )
