"""The back of the house on real parts: Postgres, the local Fly, a Guard and an App in every Machine."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from localcloud.database import Database
from localcloud.fly import LocalFly, local_fly
from provisioner import naming
from provisioner.clock import SystemClock
from provisioner.fly.client import FlyClient
from provisioner.fly.settings import FlySettings
from provisioner.guard_keys import GuardKeys
from provisioner.images import Images
from provisioner.instance import Instance, UserId
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.parts import LifecycleSettings, Parts
from provisioner.probe import GuardProbe
from provisioner.spares import PoolSettings
from provisioner.store.changes import Announcements
from provisioner.store.database import connect
from provisioner.store.postgres import PostgresStore
from provisioner.store.rollouts import RolloutTable
from provisioner.store.spares import SpareTable
from tests.parts.local_fly import FlyCaller
from tests.parts.system import SMALL_APP

APP = "jarvis-machines"
TOKEN = "fly-test-token"
SETTINGS = LifecycleSettings(env="test", deployment="tests", app_name=APP, region="iad")
IMAGE = "golden:test"
NO_POOL = PoolSettings()
WITHIN_S = 20.0


@dataclass
class ScriptedTraffic:
    """`provisioner.parts.Traffic` that says what a test tells it to, and notes whose streams were ended."""

    is_busy: bool = False
    work: str | None = None
    touched: dict[UserId, datetime] = field(default_factory=dict)
    ended: list[UserId] = field(default_factory=list)

    def busy(self, user_id: UserId) -> bool:
        return self.is_busy

    def working(self, user_id: UserId) -> str | None:
        return self.work

    def last_touch(self, user_id: UserId) -> datetime | None:
        return self.touched.get(user_id)

    async def end(self, instance: Instance) -> None:
        self.ended.append(instance.user_id)


@dataclass
class Back:
    """One replica's provisioner, and the cloud it works on."""

    parts: Parts
    lifecycle: Lifecycle
    store: PostgresStore
    cloud: FlyClient
    fly: LocalFly
    traffic: ScriptedTraffic
    database: Database
    pool: Any
    spares: SpareTable
    announced: Announcements

    async def ready(self, visitor: Visitor, **given: bool) -> Instance:
        """Their Instance, ACTIVE, and nobody works on it any more."""
        deadline = self.parts.clock.monotonic() + WITHIN_S
        job = self.lifecycle.begin(visitor, **given)
        instance = await self.lifecycle.ensure_ready(visitor, deadline=deadline, **given)
        await job.over.wait()
        return instance

    async def asked(self, action: str) -> None:
        """Return when Fly was asked for `action`."""
        while self.fly.calls.counts[action] == 0:  # noqa: ASYNC110  nothing tells when a stranger has called
            await asyncio.sleep(0)

    def starts(self) -> int:
        """How often Fly was asked to start a Machine."""
        return self.fly.calls.counts["start_machine"]

    async def audit(self, visitor: Visitor) -> list[tuple[str, str | None, str | None]]:
        """(action, from, to) of the audit rows about this user's life, oldest first; not of what was made at Fly."""
        connection = await asyncpg.connect(self.database.admin_dsn)
        try:
            rows = await connection.fetch(
                "select action, from_state, to_state from gateway.audit_log where user_id = $1"
                " and actor <> 'lifecycle' order by id",
                visitor.user_id,
            )
            return [(row["action"], row["from_state"], row["to_state"]) for row in rows]
        finally:
            await connection.close()


def somebody(name: str = "ada") -> Visitor:
    """A user nobody has seen before."""
    return Visitor(UserId(uuid4()), f"{name}@example.com")


@asynccontextmanager
async def back_of_house(
    database: Database,
    folder: Path,
    *,
    settings: LifecycleSettings = SETTINGS,
    pool: PoolSettings = NO_POOL,
    replica: str = "one",
) -> AsyncIterator[Back]:
    """A provisioner with a small App in its Machines."""
    command = ["/usr/bin/env", f"JARVIS_COMMAND={SMALL_APP}", sys.executable, "-m", "golden.guard"]
    async with AsyncExitStack() as stack:
        fly = await stack.enter_async_context(local_fly(folder / "fly", token=TOKEN, command=command))
        yield await stack.enter_async_context(_replica(database, fly, settings, pool, replica))


async def apps_of(back: Back, visitor: Visitor) -> list[dict[str, Any]]:
    """What Fly shows of the apps that hold this one user."""
    mine = f"{naming.app_prefix(SETTINGS.env)}{naming.short_hash(visitor.user_id)}-"
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        _, listed = await fly("GET", "/apps", query={"org_slug": "personal"})
    return [app for app in listed["apps"] if app["name"].startswith(mine)]


@asynccontextmanager
async def another_replica(back: Back, replica: str = "two") -> AsyncIterator[Back]:
    """A second provisioner on the same database and cloud."""
    async with _replica(back.database, back.fly, back.parts.settings, back.parts.pool, replica) as other:
        yield other


@asynccontextmanager
async def _replica(
    database: Database, fly: LocalFly, settings: LifecycleSettings, pool_settings: PoolSettings, replica: str
) -> AsyncIterator[Back]:
    clock, traffic = SystemClock(), ScriptedTraffic()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(connect(database.dsn))
        announced = Announcements(database.dsn, clock)
        store = PostgresStore(pool, clock, announced=announced)
        spares = SpareTable(pool, clock)
        cloud = await stack.enter_async_context(FlyClient.open(FlySettings(token=TOKEN, api_url=fly.url), clock))
        await cloud.ensure_app(APP, "personal")
        parts = Parts(
            cloud=cloud,
            store=store,
            probe=await stack.enter_async_context(GuardProbe.open()),
            clock=clock,
            keys=GuardKeys({"k1": b"k" * 32}),
            traffic=traffic,
            settings=replace(settings),
            replica=replica,
            spares=spares,
            pool=pool_settings,
            images=Images(IMAGE),
            rollouts=RolloutTable(pool, clock, announced=announced),
        )
        lifecycle = await stack.enter_async_context(Lifecycle(parts))
        yield Back(parts, lifecycle, store, cloud, fly, traffic, database, pool, spares, announced)
