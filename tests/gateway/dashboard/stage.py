"""A dashboard with something to see: a night in which a few things went wrong."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from localcloud.database import Database
from provisioner.instance import UserId
from provisioner.lifecycle import Visitor
from provisioner.store.switches import SwitchTable
from tests.parts.admin import TOKEN, listener
from tests.parts.back import APP, Back, back_of_house, somebody

PEOPLE = (
    ("grace", "active", 0.02),
    ("edsger", "suspended", 5),
    ("barbara", "suspended", 30),
    ("donald", "stopped", 200),
    ("margaret", "active", 26),
    ("alan", "suspended", 2),
)


@dataclass
class Stage:
    """Where it is to be seen, and who is stuck there."""

    url: str
    back: Back
    ada: Visitor
    stuck: Visitor
    token: str = TOKEN

    async def rewind(self) -> None:
        """As it was at the beginning: Ada awake, Niklaus stuck, nothing held back."""
        await self.back.ready(self.ada, doubt=True, force=True)
        await self.back.ready(self.stuck, doubt=True, force=True)
        await self.back.pool.execute(
            "update user_instances set state = 'waking', state_since = now() - interval '14 minutes'"
            " where user_id = $1",
            self.stuck.user_id,
        )
        switches = SwitchTable(self.back.pool, self.back.parts.clock, listen_dsn=self.back.database.dsn)
        for position in await switches.positions():
            if position.is_on:
                await switches.flip(position.name, False, "", actor="test")


@asynccontextmanager
async def staged(database: Database, folder: Path) -> AsyncIterator[Stage]:
    async with back_of_house(database, folder) as back, listener(back) as server:
        stage = Stage(str(server.make_url("")).rstrip("/"), back, somebody("ada"), somebody("niklaus"))
        await _night(back)
        await stage.rewind()
        yield stage


async def _night(back: Back) -> None:
    pool, now = back.pool, back.parts.clock.now()
    for number, (name, state, hours) in enumerate(PEOPLE):
        since = now - timedelta(hours=hours)
        await _row(back, UserId(uuid4()), name, state, since, number)
    dead = UserId(uuid4())
    await _row(back, dead, "tony", "failed", now - timedelta(hours=3), 50)
    await pool.execute(
        "insert into provisioning_queue (user_id, error, retry_count, next_retry_at, status, created_at)"
        " values ($1, 'The cloud that runs your machine has no room in this region right now.', 9, $2, 'dead', $3)",
        dead,
        now + timedelta(minutes=5),
        now - timedelta(hours=3),
    )
    runs = [
        (uuid4(), path, base * (3.4 if (hour, n) in ((9, 1), (17, 0)) else 1.0) * (1 + 0.11 * n), at)
        for hour in range(24)
        for path, base in (("provision", 2.1), ("resume", 0.42), ("start", 1.3))
        for n in range(2 + (hour * 7 + len(path)) % 4)
        for at in [now - timedelta(hours=23.5 - hour, minutes=7 * n)]
    ]
    await pool.executemany(
        "insert into gateway.step_times (instance_id, path, step, took_s, at) values ($1, $2, 'boot', $3, $4)", runs
    )
    failures = [
        (now - timedelta(hours=2), dead, json.dumps({"kind": reason}))
        for reason, times in (("NoCapacity", 7), ("CloudSilent", 3), ("NotReady", 2))
        for _ in range(times)
    ]
    await pool.executemany(
        "insert into gateway.audit_log (at, actor, action, user_id, from_state, to_state, detail)"
        " values ($1, 'queue', 'fail', $2, 'provisioning', 'failed', $3)",
        failures,
    )


async def _row(back: Back, user_id: UserId, name: str, state: str, since: datetime, number: int) -> None:
    await back.store.create(
        user_id,
        email=f"{name}@example.com",
        app_name=APP,
        machine_name=f"m-{number}",
        region=("fra", "iad", "ams")[number % 3],
        image="registry.fly.io/golden@sha256:" + "ab" * 32,
        actor=str(user_id),
    )
    await back.pool.execute(
        "update user_instances set state = $2, state_since = $3, last_active = $3, machine_id = $4, private_ip = $5"
        " where user_id = $1",
        user_id,
        state,
        since,
        None if state == "failed" else f"e286{number:010d}",
        None if state == "failed" else f"fdaa:0:1::{number + 2:x}",
    )
