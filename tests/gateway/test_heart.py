"""A replica tells that it lives, and how its calls to Fly went: counted once, whatever happens to the database."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from gateway.overview.book import FlyCalls, OverviewBook
from gateway.overview.replica import EVERY_S, Heart
from provisioner.store.database import queries
from provisioner.tasks import Tasks
from tests.parts.admin import AUTH
from tests.parts.back import Back
from tests.parts.clock import ManualClock

HOUR = datetime(2026, 11, 25, 20, tzinfo=UTC)


class Beating(ManualClock):
    """Says when a heart rests."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.rests: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.rests.put_nowait(None)
        await super().sleep(seconds)


class Shaky(OverviewBook):
    """Cannot write as long as it is told so."""

    away = False

    async def beat(self, *args: Any, **kwargs: Any) -> None:
        if self.away:
            raise ConnectionError("the database is away")
        await super().beat(*args, **kwargs)


@pytest.fixture
def book(back: Back) -> Shaky:
    return Shaky(back.pool, queries("overview"))


def heart(book: OverviewBook, clock: ManualClock, name: str, ended: Iterator[Mapping[str, int]]) -> Heart:
    return Heart(book, clock, name=name, version="1", loops=dict, ended=lambda: next(ended, {}))


async def test_calls_of_all_replicas_are_counted_by_the_hour(book: Shaky) -> None:
    clock = Beating(HOUR + timedelta(minutes=59, seconds=55))
    async with Tasks() as tasks:
        for name in ("one", "two"):
            ended = iter([{"answered": 5, "CloudBroken": 1}, {"answered": 2}])
            tasks.begin(heart(book, clock, name, ended).run(), name=name)
        for _ in range(2):
            await clock.rests.get()
        assert [replica.name for replica in await book.replicas()] == ["one", "two"]
        await clock.advance(seconds=EVERY_S)
        for _ in range(2):
            await clock.rests.get()
        assert await book.fly_calls(since=HOUR) == [
            FlyCalls(hour=HOUR, ended="CloudBroken", n=2),
            FlyCalls(hour=HOUR, ended="answered", n=10),
            FlyCalls(hour=HOUR + timedelta(hours=1), ended="answered", n=4),
        ]


async def test_what_could_not_be_written_down_is_written_later_and_at_the_end(book: Shaky) -> None:
    clock, book.away = Beating(HOUR), True
    ended = iter([{"CloudSilent": 3}, {"CloudSilent": 1}, {"answered": 1}])
    async with Tasks() as tasks:
        tasks.begin(heart(book, clock, "one", ended).run(), name="heart")
        await clock.rests.get()
        book.away = False
        await clock.advance(seconds=EVERY_S)
        await clock.rests.get()
        assert await book.fly_calls(since=HOUR) == [FlyCalls(hour=HOUR, ended="CloudSilent", n=4)]
    assert FlyCalls(hour=HOUR, ended="answered", n=1) in await book.fly_calls(since=HOUR)
    assert await book.replicas() == []


async def test_what_was_a_month_ago_is_forgotten(book: Shaky) -> None:
    for at in (HOUR, HOUR + timedelta(days=33)):
        await book.beat("one", version="1", started_at=at, now=at, loops={}, counts={(at, "answered"): 1})
    assert [each.hour for each in await book.fly_calls(since=HOUR)] == [HOUR + timedelta(days=33)]


async def test_the_figures_tell_of_them(book: Shaky, back: Back, admin: TestClient) -> None:
    now = back.parts.clock.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    await book.beat("two", version="1", started_at=now, now=now, loops={}, counts={(hour, "NoCapacity"): 2})
    told = await (await admin.get("/v1/figures", headers=AUTH)).json()
    assert {"hour": hour.isoformat().replace("+00:00", "Z"), "ended": "NoCapacity", "n": 2} in told["fly"]
