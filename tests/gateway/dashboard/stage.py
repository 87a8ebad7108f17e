"""A dashboard with something to see: a night in which a few things went wrong."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from gateway.session.visits import Visits
from localcloud.database import Database
from provisioner.images import Rollout, RolloutState, bucket
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

BROKEN = "The App did not answer within 60 s."


@dataclass
class Stage:
    """Where it is to be seen, and who is stuck there."""

    url: str
    back: Back
    ada: Visitor
    stuck: Visitor
    token: str = TOKEN

    async def rewind(self) -> None:
        """As it was at the beginning: Ada awake, Niklaus stuck, the rollout going on, nothing held back."""
        await self.back.ready(self.ada, doubt=True, force=True)
        await self.back.ready(self.stuck, doubt=True, force=True)
        await self.back.pool.execute(
            "update user_instances set state = 'waking', state_since = now() - interval '14 minutes'"
            " where user_id = $1",
            self.stuck.user_id,
        )
        await self.back.pool.execute("update gateway.rollouts set state = 'running' where state = 'paused'")
        switches = SwitchTable(self.back.pool, self.back.parts.clock, announced=self.back.announced)
        for position in await switches.positions():
            if position.is_on:
                await switches.flip(position.name, False, "", actor="test")


@asynccontextmanager
async def staged(database: Database, folder: Path) -> AsyncIterator[Stage]:
    async with back_of_house(database, folder) as back, listener(back) as server:
        stage = Stage(str(server.make_url("")).rstrip("/"), back, somebody("ada"), somebody("niklaus"))
        await _night(back)
        await stage.rewind()
        await _rollouts(back)
        await _visits(back, stage)
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
    signups = [
        (uuid4(), f"{name}@example.com", status, now - timedelta(hours=hours), by)
        for name, status, hours, by in (
            ("grace", "admitted", 50, "open"),
            ("barbara", "admitted", 31, "operator:grace"),
            ("mallory", "suspended", 30, "operator:grace"),
            ("radia", "waiting", 5, None),
            ("leslie", "waiting", 2, None),
        )
    ]
    await pool.executemany(
        "insert into gateway.signups (user_id, email, status, created_at, decided_at, decided_by)"
        " values ($1, $2, $3, $4::timestamptz, case when $5::text is not null then $4::timestamptz end, $5)",
        signups,
    )
    calls = [
        (now - timedelta(hours=ago), ended, n)
        for ago in range(24)
        for ended, n in (
            ("answered", 140 + 9 * ago),
            ("RateLimited", (5, 0, 2, 0, 0, 1)[ago % 6]),
            ("CloudBroken", 14 if ago in (7, 8) else 0),
            ("NoCapacity", 7 if ago == 2 else 0),
            ("CloudSilent", 3 if ago == 8 else 0),
        )
        if n
    ]
    await pool.executemany(
        "insert into gateway.fly_calls (hour, ended, n) values (date_trunc('hour', $1::timestamptz), $2, $3)"
        " on conflict (hour, ended) do update set n = excluded.n",
        calls,
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


async def _rollouts(back: Back) -> None:
    """One is half way, with four came up and one not; one was taken back the week before."""
    pool, now = back.pool, back.parts.clock.now()
    people = [
        UserId(row["user_id"])
        for row in await pool.fetch("select user_id from user_instances where machine_id is not null")
    ]
    # Whose turn it is depends on the rollout's id, and the picture on whose turn it is.
    id = next(id for id in iter(uuid4, None) if sum(bucket(id, user_id) < 5000 for user_id in people) == 6)
    turns = [user_id for user_id in people if bucket(id, user_id) < 5000]
    before = now - timedelta(days=6)
    week_ago = _a_rollout(back, uuid4(), "cd", RolloutState.RETURNED, begun=before, step=1, step_since=before)
    begun = now - timedelta(minutes=41)
    running = _a_rollout(
        back, id, "ef", RolloutState.RUNNING, begun=begun, step=2, step_since=now - timedelta(minutes=4)
    )
    await _rollout(back, week_ago, "nobody runs it any more")
    await _rollout(back, running, "3 came up, 0 did not")
    moves = [(week_ago, user_id, "ready", None) for user_id in people[:4]]
    moves += [(week_ago, user_id, "failed", BROKEN) for user_id in people[4:6]]
    moves += [(running, user_id, "ready", None) for user_id in turns[:4]]
    moves += [(running, turns[4], "failed", BROKEN)]
    await pool.executemany(
        "insert into gateway.rollout_moves (rollout_id, user_id, from_image, outcome, error, at)"
        " values ($1, $2, $3, $4, $5, $6)",
        [
            (each.id, user_id, each.base_image, outcome, error, each.created_at + timedelta(minutes=9))
            for each, user_id, outcome, error in moves
        ],
    )
    await pool.execute("update user_instances set image = $1 where user_id = any($2)", running.image, turns[:4])


def _a_rollout(
    back: Back, id: UUID, image: str, state: RolloutState, *, begun: datetime, step: int, step_since: datetime
) -> Rollout:
    return Rollout(
        id=id,
        state=state,
        image="registry.fly.io/golden@sha256:" + image * 32,
        golden_image=back.parts.images.golden_image,
        base_image="registry.fly.io/golden@sha256:" + "ab" * 32,
        steps=(1, 10, 50, 100),
        step=step,
        tolerance=0.3,
        proof=3,
        soak=timedelta(minutes=10),
        hurry=False,
        actor="operator:grace",
        why="",
        created_at=begun,
        state_since=begun,
        step_since=step_since,
    )


async def _rollout(back: Back, rollout: Rollout, why: str) -> None:
    await back.pool.execute(
        "insert into gateway.rollouts (id, state, image, golden_image, base_image, steps, step, tolerance, proof,"
        " soak_s, hurry, actor, why, created_at, state_since, step_since)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        rollout.id,
        rollout.state.value,
        rollout.image,
        rollout.golden_image,
        rollout.base_image,
        list(rollout.steps),
        rollout.step,
        rollout.tolerance,
        rollout.proof,
        rollout.soak.total_seconds(),
        rollout.hurry,
        rollout.actor,
        why,
        rollout.created_at,
        rollout.state_since,
        rollout.step_since,
    )


async def _visits(back: Back, stage: Stage) -> None:
    """One goes on, one was called off."""
    visits = Visits(back.pool, back.parts.clock)
    _, over = await visits.grant(stage.stuck.user_id, operator="edsger", reason="it hangs since noon", minutes=15)
    await visits.end(id=over.id, by="operator:edsger")
    ticket, _ = await visits.grant(
        stage.ada.user_id, operator="grace", reason="Ticket 4711: notes do not save", minutes=30
    )
    await visits.open(ticket, b"v" * 32)
