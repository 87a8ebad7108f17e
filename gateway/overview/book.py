"""The overview's questions to Postgres."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from provisioner.instance import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """How long bring-ups of a path took, in seconds. `bucket` None: over the whole time."""

    path: str
    bucket: datetime | None
    n: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How often something failed for this reason."""

    action: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """The queue of failed provisionings."""

    waiting: int
    dead: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """How long one user's Instance was awake and asleep today, in seconds."""

    user_id: UserId
    awake_s: float
    asleep_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that somebody should look at; `since` when, `times` how often."""

    kind: str
    user_id: UserId
    email: str
    state: str
    since: datetime
    error: str | None
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Who may work on an Instance now."""

    owner: str | None
    fence: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A gateway process. `loops`: its background work by name, "runs" or "ended"."""

    name: str
    version: str
    started_at: datetime
    seen_at: datetime
    loops: Mapping[str, str]


class OverviewBook:
    """The queries of sql/queries/overview.sql."""

    def __init__(self, pool: Any, queries: Any) -> None:
        """`queries` are handed in with the pool by the composition root."""
        self._pool, self._sql = pool, queries

    async def states(self) -> Mapping[str, int]:
        return {row["state"]: row["n"] async for row in self._sql.count_states(self._pool)}

    async def users_now(self, *, since: datetime) -> int:
        n: int = await self._sql.users_now(self._pool, since=since)
        return n

    async def depth(self) -> Depth:
        return Depth(**dict(await self._sql.queue_depth(self._pool)))

    async def run_times(self, *, since: datetime, bucket: timedelta) -> Sequence[RunTimes]:
        return [RunTimes(**dict(row)) async for row in self._sql.run_times(self._pool, since=since, bucket=bucket)]

    async def failures(self, *, since: datetime) -> Sequence[Failures]:
        return [Failures(**dict(row)) async for row in self._sql.failures_by_reason(self._pool, since=since)]

    async def day(self, *, day: datetime, now: datetime) -> Sequence[Day]:
        return [Day(**dict(row)) async for row in self._sql.states_of_day(self._pool, day=day, now=now)]

    async def trouble(
        self,
        *,
        stuck_before: datetime,
        awake_before: datetime,
        flaps_since: datetime,
        flaps: int,
        failures: int,
        limit: int,
    ) -> Sequence[Trouble]:
        rows = self._sql.in_trouble(
            self._pool,
            stuck_before=stuck_before,
            awake_before=awake_before,
            flaps_since=flaps_since,
            flaps=flaps,
            failures=failures,
            most=limit,
        )
        return [Trouble(**dict(row)) async for row in rows]

    async def lease(self, user_id: UserId) -> Held | None:
        row = await self._sql.lease_on(self._pool, user_id=user_id)
        return None if row is None else Held(**dict(row))

    async def beat(
        self, name: str, *, version: str, started_at: datetime, now: datetime, loops: Mapping[str, str]
    ) -> None:
        await self._sql.beat(
            self._pool, name=name, version=version, started_at=started_at, now=now, loops=json.dumps(dict(loops))
        )

    async def sign_off(self, name: str) -> None:
        await self._sql.sign_off(self._pool, name=name)

    async def replicas(self) -> Sequence[Replica]:
        rows = self._sql.all_replicas(self._pool)
        return [Replica(**{**dict(row), "loops": json.loads(row["loops"])}) async for row in rows]
