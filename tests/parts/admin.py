"""The admin listener on real parts, and an operator who asks it, by HTTP or by the command line."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner, Result

from gateway.admin.room import admin_room
from gateway.checkup.finding import Finding, bad, good
from gateway.cli import main
from gateway.observe import Metrics
from gateway.session.admissions import Admissions, Rules
from gateway.session.visits import Visits
from provisioner.awake import Awake
from provisioner.offer import shipped
from provisioner.pool import Pool
from provisioner.queue import QueueDesk
from provisioner.rollout import Rollouts
from provisioner.store.database import queries
from provisioner.store.operators import OperatorTable
from provisioner.store.plans import SubscriptionTable
from provisioner.store.sightings import SightingTable
from provisioner.store.spares import SpareTable
from provisioner.store.switches import SwitchTable
from provisioner.tasks import Tasks
from tests.parts.back import Back

TOKEN = "an-admin-token-of-enough-length"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


async def checkup() -> Sequence[Finding]:
    """All is well, but one thing."""
    return [good("DB1", "It answered."), bad("AUTH2", "It is off.")]


def listener(back: Back, *, open_metrics: bool = False) -> TestServer:
    """The admin application as the gateway puts it together, with its loops beside it."""
    clock = back.parts.clock
    room = admin_room(
        pool=back.pool,
        queries=queries("admin"),
        store=back.store,
        news=partial(back.announced.hear, "audit_written"),
        lifecycle=back.lifecycle,
        clock=clock,
        metrics=Metrics(),
        operators=OperatorTable(back.pool, clock),
        signups=Admissions(back.pool, clock, Rules()),
        visits=Visits(back.pool, clock),
        public_url="https://my-jarvis.test",
        token=TOKEN,
        open_metrics=open_metrics,
        master_keys={"k1": b"k" * 32},
        switch_records=SwitchTable(back.pool, clock, announced=back.announced),
        switches=back.parts.switches,
        webhook_queries=queries("webhooks"),
        webhooks_private=True,
        overview_queries=queries("overview"),
        cloud=back.cloud,
        queue=QueueDesk(back.parts, back.lifecycle),
        spares=Pool(back.parts, SpareTable(back.pool, clock), shipped().prices, told=lambda *_: None).status,
        findings=SightingTable(back.pool, clock).all_sightings,
        awake=Awake(back.store, back.traffic, clock, back.parts.plans.of),
        rollouts=Rollouts(back.parts, back.lifecycle, back.parts.rollouts),
        subscriptions=SubscriptionTable(back.pool, clock, announced=back.announced),
        plans=back.parts.plans,
        prices=shipped().prices,
        checkup=checkup,
        replica="one",
        working=lambda: {"sweeper": "runs"},
    )
    application = room.api.application()

    async def loops(_: web.Application) -> AsyncIterator[None]:
        async with Tasks() as tasks:
            for name, work in room.loops.items():
                tasks.begin(work(), name=name)
            yield

    application.cleanup_ctx.append(loops)
    return TestServer(application)


async def enlist(admin: TestClient, name: str, role: str) -> dict[str, str]:
    """A new operator's header."""
    answer = await admin.post("/v1/operators", headers=AUTH, json={"name": name, "role": role})
    assert answer.status == 201, await answer.text()
    assert answer.headers["Cache-Control"] == "no-store"
    return {"Authorization": f"Bearer {(await answer.json())['token']}"}


async def trail(admin: TestClient, **query: str) -> list[dict[str, Any]]:
    answer = await admin.get("/v1/audit", headers=AUTH, params=query)
    entries: list[dict[str, Any]] = (await answer.json())["entries"]
    return entries


async def typed(*words: str, **environment: str) -> Result:
    """Beside our loop: the command has one of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["admin", *words], env=environment)


def printed(told: Result) -> Any:
    """The JSON that was printed. The gateway logs in this very process, so its lines may stand before it."""
    return json.loads(told.stdout.splitlines()[-1])
