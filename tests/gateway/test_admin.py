"""The operator's door: nobody in without the token, every action answers when it is done, bad input is told."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.room import admin_room
from gateway.checkup.finding import Finding, bad, good
from gateway.observe import Metrics
from gateway.session.admissions import Admissions, Rules
from gateway.session.visits import Visits
from localcloud.database import Database
from provisioner.awake import Awake
from provisioner.offer import shipped
from provisioner.pool import Pool
from provisioner.queue import QueueDesk
from provisioner.rollout import Rollouts
from provisioner.store.changes import listen
from provisioner.store.database import queries
from provisioner.store.operators import OperatorTable
from provisioner.store.plans import SubscriptionTable
from provisioner.store.sightings import SightingTable
from provisioner.store.spares import SpareTable
from provisioner.store.switches import SwitchTable
from provisioner.tasks import Tasks
from tests.parts.back import Back, back_of_house, somebody

TOKEN = "an-admin-token-of-enough-length"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


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
        news=partial(listen, back.database.dsn, "audit_written", clock),
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
        switch_records=SwitchTable(back.pool, clock, listen_dsn=back.database.dsn),
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
        subscriptions=SubscriptionTable(back.pool, clock, listen_dsn=back.database.dsn),
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


@pytest.fixture
async def admin(back: Back) -> AsyncIterator[TestClient]:
    async with TestClient(listener(back)) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/instances", "/metrics", "/v1/nothing", "/"])
@pytest.mark.parametrize("shown", [None, "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
async def test_nobody_in_without_the_token(admin: TestClient, path: str, shown: str | None) -> None:
    answer = await admin.get(path, headers={} if shown is None else {"Authorization": shown})
    assert (answer.status, answer.content_type) == (401, "application/problem+json")
    assert TOKEN not in await answer.text()


async def test_health_is_open_and_metrics_may_be(back: Back, admin: TestClient) -> None:
    assert (await admin.get("/healthz")).status == 200
    async with TestClient(listener(back, open_metrics=True)) as scraper:
        answer = await scraper.get("/metrics")
        assert answer.status == 200
        assert "jarvis_requests_total" in await answer.text()
        assert (await scraper.get("/v1/instances")).status == 401


async def test_a_life_in_the_operators_hands(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    where = f"/v1/instances/{ada.user_id}"
    listed = await (await admin.get("/v1/instances", headers=AUTH)).json()
    assert [i["user_id"] for i in listed["instances"]] == [str(ada.user_id)]
    for action, state in [
        ("suspend", "suspended"),
        ("start", "active"),
        ("stop", "stopped"),
        ("start", "active"),
        ("restart", "active"),
    ]:
        answer = await admin.post(f"{where}/{action}", headers=AUTH)
        assert (answer.status, (await answer.json())["state"]) == (200, state), action
    shown = await (await admin.get(where, headers=AUTH)).json()
    assert shown["machine_id"]
    assert shown["last_active"]
    assert (await admin.delete(where, headers=AUTH)).status == 204
    assert (await admin.get(where, headers=AUTH)).status == 404


async def test_pages_of_instances(back: Back, admin: TestClient) -> None:
    for n in range(5):
        visitor = somebody()
        await back.store.create(
            visitor.user_id, email="x@y.z", app_name="a", machine_name=f"m{n}", region="iad", image="g", actor="test"
        )
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        query = {"limit": "2"} | ({"after": after} if after else {})
        page = await (await admin.get("/v1/instances", headers=AUTH, params=query)).json()
        seen += [i["user_id"] for i in page["instances"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 5
    failed = await (await admin.get("/v1/instances", headers=AUTH, params={"state": "failed"})).json()
    assert failed["instances"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/instances?limit=0", 400),
        ("GET", "/v1/instances?limit=many", 400),
        ("GET", "/v1/instances?state=sleepy", 400),
        ("GET", "/v1/instances?after=me", 400),
        ("GET", "/v1/instances/ada", 400),
        ("GET", "/v1/instances/00000000-0000-4000-8000-000000000000", 404),
        ("DELETE", "/v1/instances/00000000-0000-4000-8000-000000000000", 404),
        ("POST", "/v1/instances/00000000-0000-4000-8000-000000000000/explode", 404),
        ("PUT", "/v1/instances", 405),
    ],
)
async def test_bad_input_is_told(admin: TestClient, method: str, path: str, status: int) -> None:
    answer = await admin.request(method, path, headers=AUTH)
    assert (answer.status, answer.content_type) == (status, "application/problem+json")
    assert (await answer.json())["detail"]


async def test_flys_own_words_reach_the_operator(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    back.fly.faults.add(
        {
            "match": {"action": "stop_machine"},
            "fault": {"kind": "status", "status": 500, "body": {"error": "boom at Fly"}},
        }
    )
    answer = await admin.post(f"/v1/instances/{ada.user_id}/stop", headers=AUTH)
    assert answer.status == 502
    assert "boom at Fly" in (await answer.json())["detail"]
