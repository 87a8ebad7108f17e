"""The world in which it happens: a local cloud, a database, and replicas that are started again whenever they die."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from localcloud.database import Database
from localcloud.fly import LocalFly
from localcloud.fly.clock import SystemClock
from tests.parts.local_fly import FlyCaller
from tests.parts.plain_http import NO_TLS
from tests.parts.system import LOOK_S, SMALL_APP, Replica, Served, served

REPLICAS: Final = {"one": {"MACHINES_ISOLATION": "app"}, "two": {"MACHINES_ISOLATION": "machine"}}
"""Both ways of keeping people apart, in one world: who comes first to which replica decides."""
POOL: Final = {"POOL_MIN": "2", "POOL_MAX": "2"}
"""Settings of a world in which spares are kept: of the isolation of whichever replica keeps them."""
LEASE_S: Final = 3.0
"""Short, or each death would cost a quarter of a minute."""
SETTINGS: Final = {
    "GATEWAY_ENV": "chaos",
    "LEASE_S": str(LEASE_S),
    "SWEEP_EVERY_S": "0.5",
    "SUSPEND_AFTER_S": "4",
    "TOUCH_EVERY_S": "0.5",
    "RATE_LIMITS": "off",
    "MACHINES_FALLBACK_REGIONS": "ams",
    "LOG_LEVEL": "info",
}


class SeededClock(SystemClock):
    """The machine's time, and chance from a seed: which calls a fault strikes."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def jitter(self) -> float:
        return self._chance.random()


@dataclass(slots=True)
class Points:
    """The file that tells replicas where to die, and what they write beside it."""

    file: Path

    def arm(self, points: Sequence[str]) -> None:
        self.file.write_text("".join(f"{point}\n" for point in points))

    def disarm(self) -> None:
        self.file.unlink(missing_ok=True)

    def reached(self) -> list[str]:
        return self._lines("reached")

    def died(self) -> list[str]:
        return self._lines("died")

    def _lines(self, what: str) -> list[str]:
        notes = self.file.with_name(f"{self.file.name}.{what}")
        return notes.read_text().splitlines() if notes.exists() else []


@dataclass(slots=True)
class Stage:
    """Two replicas before one cloud. `deaths` counts how often one of them was found dead and started again."""

    cloud: Served
    points: Points
    rows: Any = field(repr=False)
    call: FlyCaller
    http: httpx.AsyncClient = field(repr=False)
    """For the admin APIs: a client each time would cost more than what is asked."""
    chance: random.Random
    spares: int = 0
    """So many are kept in the pool."""
    replicas: dict[str, Replica] = field(default_factory=dict)
    deaths: int = 0

    @property
    def fly(self) -> LocalFly:
        return self.cloud.fly

    async def start(self, name: str) -> None:
        self.replicas[name] = await self.cloud.replica(name, FAILPOINTS=str(self.points.file), **REPLICAS[name])

    async def kill(self, name: str) -> None:
        """kill -9, whatever it is at. `keep_up` starts it again."""
        await asyncio.to_thread(self.replicas[name].program.kill)

    async def keep_up(self) -> None:
        """Start again whichever replica is dead, for ever."""

        async def look_after(name: str) -> None:
            while True:
                await asyncio.sleep(LOOK_S)
                if self.replicas[name].program.ended:
                    self.deaths += 1
                    with suppress(pytest.fail.Exception):  # it may come by a point while it starts, and die again
                        await self.start(name)

        async with asyncio.TaskGroup() as group:
            for name in self.replicas:
                group.create_task(look_after(name))


@asynccontextmanager
async def staged(folder: Path, database: Database, *, seed: int, **settings: str) -> AsyncIterator[Stage]:
    """Everything up, replicas kept up until the block ends."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    points = Points(folder / "points")
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(
            served(
                folder, database, app_command=SMALL_APP, clock=SeededClock(seed), environment={**SETTINGS, **settings}
            )
        )
        cloud.auth.project.rate_burst = 1_000_000  # nobody shall wait for Supabase here
        rows = await stack.enter_async_context(asyncpg.create_pool(database.admin_dsn, min_size=1, max_size=8))
        call = await stack.enter_async_context(FlyCaller(cloud.fly.url, "fm2_journey"))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=70, trust_env=False, verify=NO_TLS))
        spares, chance = int(settings.get("POOL_MIN", "0")), random.Random(seed)
        stage = Stage(cloud=cloud, points=points, rows=rows, call=call, http=http, chance=chance, spares=spares)
        await asyncio.gather(*(stage.start(name) for name in REPLICAS))
        keeping = asyncio.ensure_future(stage.keep_up())
        try:
            yield stage
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
