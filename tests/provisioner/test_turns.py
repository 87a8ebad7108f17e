"""Turns that replicas take together: in Postgres, and as the Fly adapter uses them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from provisioner.errors import RateLimited
from provisioner.fly.client import FlyClient
from provisioner.fly.settings import FlySettings
from provisioner.store.turns import TurnTable
from tests.parts.scripted_fly import ID, ONE, TOKEN, Says, ScriptedFly, fly_clock, fly_script, machine, refusal

FIXTURES = (fly_clock, fly_script)  # for pytest to find


async def test_a_burst_passes_and_then_each_waits_longer_whoever_asks(pool):
    """Two replicas are two tables on one row."""
    one, two = TurnTable(pool), TurnTable(pool)
    waits = [await table.take("create", "app", per_second=0.01, burst=2) for table in (one, two, one, two)]
    assert waits[:2] == [0.0, 0.0]
    assert 90 < waits[2] <= 100 < waits[3] <= 200
    assert await two.take("create", "another", per_second=0.01, burst=2) == 0.0
    assert await two.take("delete", "app", per_second=0.01, burst=2) == 0.0


async def test_a_turn_that_was_not_used_is_the_next_ones(pool):
    table = TurnTable(pool)
    for _ in range(3):
        await table.take("create", "app", per_second=0.01, burst=2)
    await table.give_back("create", "app", per_second=0.01)
    assert await table.take("create", "app", per_second=0.01, burst=2) <= 100


async def test_after_a_429_nobody_has_a_turn_for_as_long_as_fly_said(pool):
    table = TurnTable(pool)
    await table.pause("create", "app", 500, per_second=1, burst=2)
    assert await table.take("create", "app", per_second=1, burst=2) > 400


class NotedTurns:
    """`provisioner.turns.Turns` that gives the waits it is told to and notes what it was asked."""

    def __init__(self, *waits: float) -> None:
        self.waits = list(waits)
        self.asked: list[tuple[str, str, str]] = []

    async def take(self, action: str, thing: str, *, per_second: float, burst: int) -> float:
        self.asked.append(("take", action, thing))
        if not self.waits:
            raise ConnectionError("the database is away")
        return self.waits.pop(0)

    async def give_back(self, action: str, thing: str, *, per_second: float) -> None:
        self.asked.append(("give_back", action, thing))

    async def pause(self, action: str, thing: str, seconds: float, *, per_second: float, burst: int) -> None:
        self.asked.append(("pause", action, thing))


@pytest.fixture
async def shared(fly: ScriptedFly, clock) -> AsyncIterator[tuple[FlyClient, NotedTurns]]:
    turns = NotedTurns()
    settings = FlySettings(token=TOKEN, api_url=fly.url, shared_app="jarvis", patience=timedelta(seconds=5))
    async with FlyClient.open(settings, clock, turns) as client:
        yield client, turns


async def test_only_calls_about_what_all_replicas_use_take_a_turn(fly, clock, shared):
    """A wake asks no database for leave: its calls are about one Machine."""
    client, turns = shared
    fly.on("GET", ".*/volumes", Says(body=[]))
    fly.on("GET", ONE, Says(body=machine()))
    fly.on("POST", ONE + "/start", Says(body={}))
    turns.waits = [0.0, 3.0]
    await client.machine("jarvis", ID)
    await client.start("jarvis", ID)
    await client.volumes("jarvis-test-ada")
    assert turns.asked == []
    await client.volumes("jarvis")
    await client.volumes("jarvis")
    assert turns.asked == [("take", "list_volumes", "jarvis")] * 2
    assert 3.0 in clock.slept


async def test_a_turn_too_far_away_is_given_back_and_nothing_is_sent(fly, shared):
    client, turns = shared
    turns.waits = [60.0]
    with pytest.raises(RateLimited) as refused:
        await client.volumes("jarvis")
    assert (refused.value.retry_after, fly.asked) == (60.0, [])
    assert turns.asked[-1][0] == "give_back"


async def test_without_the_database_fly_has_the_last_word(fly, shared):
    client, turns = shared
    fly.on("GET", ".*/volumes", refusal(429, "slow down"), Says(body=[]))
    assert await client.volumes("jarvis") == []
    assert ("pause", "list_volumes", "jarvis") in turns.asked
