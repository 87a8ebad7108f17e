"""The overview's questions to Postgres."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

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
class FlyCalls:
    """How many calls to Fly ended so within the hour that began then: "answered", or the class of the failure."""

    hour: datetime
    ended: str
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
class Mishap:
    """Who did not come up on a new image. `email` None: they are gone."""

    user_id: UserId
    email: str | None
    error: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRollout:
    """How a rollout went: `ready` came up on its image, `failed` did not."""

    image: str
    state: str
    actor: str
    why: str
    created_at: datetime
    state_since: datetime
    ready: int
    failed: int


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

    async def fly_calls(self, *, since: datetime) -> Sequence[FlyCalls]:
        return [FlyCalls(**dict(row)) async for row in self._sql.fly_calls(self._pool, since=since)]

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

    async def addresses(self, users: Iterable[UserId]) -> Mapping[UserId, str]:
        """Of those that have an Instance."""
        rows = self._sql.addresses(self._pool, users=list(users))
        return {UserId(row["user_id"]): row["email"] async for row in rows}

    async def mishaps(self, rollout_id: UUID, *, limit: int) -> Sequence[Mishap]:
        """The latest first."""
        return [Mishap(**dict(row)) async for row in self._sql.mishaps(self._pool, rollout_id=rollout_id, most=limit)]

    async def past_rollouts(self, *, limit: int) -> Sequence[PastRollout]:
        """Those before the newest, the latest first."""
        return [PastRollout(**dict(row)) async for row in self._sql.past_rollouts(self._pool, most=limit)]

    async def lease(self, user_id: UserId) -> Held | None:
        row = await self._sql.lease_on(self._pool, user_id=user_id)
        return None if row is None else Held(**dict(row))

    async def beat(
        self,
        name: str,
        *,
        version: str,
        started_at: datetime,
        now: datetime,
        loops: Mapping[str, str],
        counts: Mapping[tuple[datetime, str], int],
    ) -> None:
        """`counts`: calls to Fly by hour and how they ended, added to what is known of them."""
        await self._sql.beat(
            self._pool,
            name=name,
            version=version,
            started_at=started_at,
            now=now,
            loops=json.dumps(dict(loops)),
            hours=[hour for hour, _ in counts],
            ended=[how for _, how in counts],
            numbers=list(counts.values()),
        )

    async def sign_off(self, name: str) -> None:
        await self._sql.sign_off(self._pool, name=name)

    async def replicas(self) -> Sequence[Replica]:
        rows = self._sql.all_replicas(self._pool)
        return [Replica(**{**dict(row), "loops": json.loads(row["loops"])}) async for row in rows]
