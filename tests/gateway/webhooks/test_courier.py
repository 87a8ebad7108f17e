"""Deliveries: signed, tried again, given up in the end; never lost and never sent inside by mistake."""

import asyncio
import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from aiohttp import TCPConnector, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.feed import Feed
from gateway.admin.room import entry_json
from gateway.webhooks.book import Webhook, WebhookBook
from gateway.webhooks.courier import KEPT, TOGETHER_S, TRIES_MOST, Courier, Tried, verdict
from gateway.webhooks.signing import signed
from localcloud.database import Database
from provisioner.store.changes import Announcements
from provisioner.store.database import connect, queries
from provisioner.store.postgres import PostgresStore
from tests.parts.clock import ManualClock

KEYS = {"k1": b"k" * 32}


@dataclass
class Receiver:
    """Somebody's server. `answers` are given in turn, the last one for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [204])
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.Response:
        self.heard.append(({**request.headers}, await request.read()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    somebody, app = Receiver(), web.Application()
    app.router.add_post("/hook", somebody.hear)
    async with TestServer(app) as server:
        somebody.url = str(server.make_url("/hook"))
        yield somebody


class Office:
    """A courier with its books, on a clock that a test moves."""

    def __init__(self, pool: Any, dsn: str) -> None:
        self.pool, self.clock = pool, ManualClock()
        self.store = PostgresStore(pool, self.clock, announced=Announcements(dsn, self.clock))
        self.book = WebhookBook(pool, queries("webhooks"), self.clock, KEYS)

    def courier(self, *, private: bool = True) -> Courier:
        feed = Feed(self.store, lambda: Announcements("", self.clock).hear(""), self.clock)
        return Courier(self.book, feed, self.clock, show=entry_json, private=private)

    async def rounds(self, n: int = 1, *, private: bool = True) -> None:
        courier = self.courier(private=private)
        async with courier._session() as http:
            for _ in range(n):
                await courier.round(http)

    async def add(self, url: str, *actions: str) -> tuple[Webhook, str]:
        return await self.book.add(url, actions or ("fail",), actor="operator:ada")

    async def row(self) -> Any:
        return await self.pool.fetchrow("select * from gateway.webhook_deliveries order by audit_id desc limit 1")


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    async with connect(database.dsn) as pool:
        yield Office(pool, database.dsn)


async def test_what_happens_is_told_once_signed_and_with_its_row(office: Office, receiver: Receiver) -> None:
    await office.store.append_audit("before", "fail", None)
    _, secret = await office.add(receiver.url)
    await office.store.append_audit("queue", "fail", None, {"why": "no room"})
    await office.store.append_audit("queue", "retry", None)
    await office.rounds(3)
    ((headers, body),) = receiver.heard
    told = json.loads(body)
    assert (told["type"], told["data"]["actor"], told["data"]["detail"]) == ("fail", "queue", {"why": "no room"})
    # As a receiver checks it, written from the standard and not from our code.
    content = f"{headers['Webhook-Id']}.{headers['Webhook-Timestamp']}.{body.decode()}"
    key = b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + b64encode(hmac.new(key, content.encode(), sha256).digest()).decode()
    assert headers["Webhook-Signature"] == expected
    assert int(headers["Webhook-Timestamp"]) == int(office.clock.now().timestamp())
    assert "Cookie" not in headers
    assert "Authorization" not in headers


def test_a_signature_changes_with_anything_that_is_signed() -> None:
    secret = "whsec_" + b64encode(b"x" * 32).decode()
    same = {"id": "msg_1", "timestamp": 1, "body": b"{}"}
    first = signed(secret, **same)["Webhook-Signature"]  # type: ignore[arg-type]
    for other in ({"id": "msg_2"}, {"timestamp": 2}, {"body": b"{ }"}):
        assert signed(secret, **{**same, **other})["Webhook-Signature"] != first  # type: ignore[arg-type]


async def test_a_secret_is_kept_sealed(office: Office, receiver: Receiver) -> None:
    _, secret = await office.add(receiver.url)
    kept = await office.pool.fetchrow("select * from gateway.webhooks")
    assert secret.encode() not in kept["sealed_secret"]
    assert b64decode(secret.removeprefix("whsec_")) not in kept["sealed_secret"]


async def test_what_did_not_arrive_is_tried_again_under_the_same_id_later_and_later(
    office: Office, receiver: Receiver
) -> None:
    receiver.answers = [500, 302, 204]
    await office.add(receiver.url)
    await office.store.append_audit("queue", "fail", None)
    pauses = []
    for _ in range(3):
        await office.rounds()
        row = await office.row()
        pauses.append((row["next_try_at"] - office.clock.now()).total_seconds())
        await office.rounds()  # not due yet: nothing is sent
        await office.clock.advance(seconds=max(0, pauses[-1]) + 1)
    assert len(receiver.heard) == 3
    assert len({headers["Webhook-Id"] for headers, _ in receiver.heard}) == 1
    assert 0 < pauses[0] < pauses[1]
    row = await office.row()
    assert (row["status"], row["tries"], row["answered"], row["error"]) == ("delivered", 3, 204, None)


async def test_after_many_tries_it_is_given_up_and_the_log_says_so(office: Office, receiver: Receiver) -> None:
    receiver.answers = [503]
    await office.add(receiver.url, "fail", "webhook_dead")
    await office.store.append_audit("queue", "fail", None)
    for _ in range(TRIES_MOST + 3):
        await office.rounds()
        await office.clock.advance(hours=7)
    assert len(receiver.heard) == TRIES_MOST
    dead = [row for row in await office.store.latest_audit() if row.action == "webhook_dead"]
    assert len(dead) == 1  # and a webhook that hears of everything does not hear of this, for ever
    assert json.loads(dead[0].detail)["answered"] == 503
    row = await office.row()
    await office.book.retry(row["webhook_id"], row["id"])
    receiver.answers = [204]
    await office.rounds()
    assert (await office.row())["status"] == "delivered"


async def test_a_receiver_that_is_gone_for_good_is_believed(office: Office, receiver: Receiver) -> None:
    receiver.answers = [410]
    await office.add(receiver.url)
    await office.store.append_audit("queue", "fail", None)
    await office.rounds()
    assert (await office.row())["status"] == "dead"


async def test_two_replicas_send_each_delivery_once(office: Office, receiver: Receiver) -> None:
    await office.add(receiver.url)
    for _ in range(20):
        await office.store.append_audit("queue", "fail", None)
    one, two = office.courier(), office.courier()
    async with one._session() as first, two._session() as second:
        while any(await asyncio.gather(one.round(first), two.round(second))):
            pass
    ids = [headers["Webhook-Id"] for headers, _ in receiver.heard]
    assert len(ids) == len(set(ids)) == 20


async def test_what_a_dead_replica_had_claimed_is_sent_by_another(office: Office, receiver: Receiver) -> None:
    await office.add(receiver.url)
    await office.store.append_audit("queue", "fail", None)
    await office.book.fan_out(now=office.clock.now())
    now = office.clock.now()
    assert len(await office.book.claim(now=now, until=now + timedelta(seconds=60), most=5)) == 1
    await office.rounds()
    assert receiver.heard == []
    await office.clock.advance(seconds=61)
    await office.rounds()
    assert len(receiver.heard) == 1


async def test_without_the_setting_nothing_is_sent_inside(office: Office, receiver: Receiver) -> None:
    """Neither to an address nor to a name that leads there; and the answer of whoever listens there is not told."""
    port = receiver.url.rpartition(":")[2]
    for url in (receiver.url, f"https://127.0.0.1:{port}", f"https://localhost:{port}"):
        await office.pool.execute("delete from gateway.webhooks")
        await office.add(url)
        await office.store.append_audit("queue", "fail", None)
        await office.rounds(private=False)
        row = await office.row()
        assert (row["status"], row["tries"]) == ("waiting", 1), url
    assert receiver.heard == []


async def test_a_name_that_leads_inside_is_not_even_called(office: Office) -> None:
    """Whoever listens there would learn that we are here, and when."""
    calls: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(lambda _, writer: calls.append(writer), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await office.add(f"https://localhost:{port}")
        await office.store.append_audit("queue", "fail", None)
        await office.rounds(private=False)
    row = await office.row()
    assert row["status"] == "waiting"
    assert re.fullmatch(r"not reached: \w+", row["error"])  # and nothing of what a network answers
    assert calls == []
    async with office.courier(private=False)._session() as http:
        assert isinstance(http.connector, TCPConnector)
        assert not http.connector.use_dns_cache  # or it would lead inside a moment after it was looked up


async def test_a_redirect_leads_nowhere(office: Office, receiver: Receiver) -> None:
    """It would lead past the check of where it goes."""
    receiver.answers = [302]
    await office.add(receiver.url)
    await office.store.append_audit("queue", "fail", None)
    await office.rounds()
    row = await office.row()
    assert (row["status"], row["answered"]) == ("waiting", 302)


async def test_removed_it_hears_nothing_more(office: Office, receiver: Receiver) -> None:
    webhook, _ = await office.add(receiver.url)
    await office.store.append_audit("queue", "fail", None)
    await office.book.fan_out(now=office.clock.now())
    assert await office.book.remove(webhook.id, actor="operator:ada")
    assert not await office.book.remove(UUID(int=1), actor="operator:ada")
    await office.rounds()
    assert receiver.heard == []


async def test_what_is_over_is_forgotten_after_a_month(office: Office, receiver: Receiver) -> None:
    await office.add(receiver.url)
    await office.store.append_audit("queue", "fail", None)
    await office.rounds()
    await office.book.forget(before=office.clock.now() - KEPT)
    assert await office.row() is not None
    await office.clock.advance(days=31)
    await office.book.forget(before=office.clock.now() - KEPT)
    assert await office.row() is None


@given(st.none() | st.integers(100, 599), st.integers(1, TRIES_MOST))
def test_a_verdict_gives_up_only_for_good_reason(answered: int | None, tries: int) -> None:
    said = verdict(Tried(answered=answered, error="x"), tries)
    good = answered is not None and 200 <= answered < 300
    assert (said == "delivered") is good
    assert (said == "dead") is (not good and (answered == 410 or tries == TRIES_MOST))


class Counted:
    """A book without webhooks that counts how often it was asked."""

    def __init__(self) -> None:
        self.looks = self.forgotten = 0

    async def fan_out(self, *, now: datetime) -> int:
        self.looks += 1
        return 0

    async def claim(self, *, now: datetime, until: datetime, most: int) -> list[Any]:
        return []

    async def forget(self, *, before: datetime) -> None:
        self.forgotten += 1


class Restless:
    """A log that grows and grows."""

    def grown(self) -> asyncio.Event:
        return asyncio.Event()

    async def wait(self, grown: asyncio.Event, *, within_s: float) -> bool:
        return True


async def test_what_is_written_in_one_moment_costs_one_look() -> None:
    book, clock = Counted(), ManualClock()
    courier = Courier(book, Restless(), clock, show=entry_json, private=False)  # type: ignore[arg-type]
    running = asyncio.ensure_future(courier.run())
    seen = []
    for _ in range(3):
        for _ in range(50):
            await asyncio.sleep(0)
        seen.append((book.looks, book.forgotten))
        await clock.advance(seconds=TOGETHER_S)
    running.cancel()
    assert seen == [(1, 1), (2, 1), (3, 1)]
