"""We never ask Fly more often than Fly allows, and never forget whose turn it is."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import RateLimited
from provisioner.fly.limits import ALLOWANCES, USUAL, Limits
from tests.parts.clock import ManualClock

FAR = 1e9


class FlysBucket:
    """How Fly itself counts: no slack, no mercy."""

    def __init__(self, action: str) -> None:
        allowance = ALLOWANCES.get(action, USUAL)
        self.rate, self.burst = allowance.per_second, allowance.burst
        self.tokens, self.at = float(allowance.burst), 0.0

    def refuses(self, now: float) -> bool:
        self.tokens, self.at = min(self.burst, self.tokens + (now - self.at) * self.rate), now
        self.tokens -= 1
        return self.tokens < -1e-6


async def drive(clock: ManualClock, tasks: list[asyncio.Task[None]], *, step: float = 0.25) -> None:
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)  # a clock without sleepers does not let anybody run
        await clock.advance(seconds=step)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("action", ["start", "get_machine", "delete_app"])
@given(calls=st.lists(st.tuples(st.floats(0, 3) | st.just(0), st.floats(0, 0.25)), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_whatever_the_rhythm_fly_has_nothing_to_refuse(action, calls):
    """`calls`: how long after the one before each is asked for, and how long it then takes to Fly."""

    async def story() -> None:
        clock, fly = ManualClock(), FlysBucket(action)
        limits = Limits(clock)
        arrivals: list[float] = []

        async def ask(travel: float) -> None:
            await limits.admit(action, "148e", deadline=FAR)
            arrivals.append(clock.monotonic() + travel)

        async with asyncio.TaskGroup() as tasks:
            asks = []
            for gap, travel in calls:
                asks.append(tasks.create_task(ask(travel)))
                await asyncio.sleep(0)
                await clock.advance(seconds=gap)
            await drive(clock, asks)
        assert [at for at in sorted(arrivals) if fly.refuses(at)] == []

    asyncio.run(story())


async def test_first_come_first_served():
    clock, order = ManualClock(), []
    limits = Limits(clock)

    async def ask(number: int) -> None:
        await limits.admit("start", "148e", deadline=FAR)
        order.append((number, round(clock.monotonic(), 2)))

    asks = [asyncio.create_task(ask(number)) for number in range(6)]
    await drive(clock, asks, step=0.05)
    assert [number for number, _ in order] == [0, 1, 2, 3, 4, 5]
    assert [at for _, at in order] == [0, 0, 1, 2, 3, 4]


async def test_other_machines_and_other_actions_have_turns_of_their_own():
    limits = Limits(ManualClock())
    for _ in range(2):
        for action, identifier in (("start", "a"), ("start", "b"), ("stop", "a")):
            await limits.admit(action, identifier, deadline=0)
    with pytest.raises(RateLimited):
        await limits.admit("start", "a", deadline=0)


async def test_who_cannot_be_served_in_time_hears_it_at_once():
    """A browser that is held for seconds must not learn at their end that it never had a chance."""
    limits = Limits(ManualClock())
    for _ in range(2):
        await limits.admit("create_machine", "app", deadline=0)
    with pytest.raises(RateLimited) as refused:
        await limits.admit("create_machine", "app", deadline=0.9)
    assert refused.value.retry_after == pytest.approx(1)
    assert refused.value.sure


async def test_the_queue_in_front_counts():
    clock = ManualClock()
    limits = Limits(clock)
    asks = [asyncio.create_task(limits.admit("start", "a", deadline=FAR)) for _ in range(4)]
    await asyncio.sleep(0)
    await clock.advance(seconds=0.01)
    with pytest.raises(RateLimited) as refused:
        await limits.admit("start", "a", deadline=2.9)
    assert refused.value.retry_after == pytest.approx(2.99)
    await drive(clock, asks)


async def test_who_gives_up_gives_the_place_back():
    clock = ManualClock()
    limits = Limits(clock)
    asks = [asyncio.create_task(limits.admit("start", "a", deadline=FAR)) for _ in range(100)]
    await asyncio.sleep(0)
    await clock.advance(seconds=0.01)
    for ask in asks[2:]:
        ask.cancel()
    await asyncio.gather(*asks, return_exceptions=True)
    late = asyncio.create_task(limits.admit("start", "a", deadline=2))
    await asyncio.sleep(0)
    await clock.advance(seconds=1.1)
    assert late.done()
    await late


async def test_a_request_that_never_left_costs_nothing():
    """While Fly cannot be reached, a wake tries again and again; the one that gets through must not have to wait."""
    limits = Limits(ManualClock())
    for _ in range(10):
        await limits.admit("start", "a", deadline=0)
        limits.unused("start", "a")


async def test_after_a_429_everybody_waits_and_nobody_bursts():
    clock = ManualClock()
    limits = Limits(clock)
    limits.pause("start", "a", 5)
    served: list[float] = []

    async def ask() -> None:
        await limits.admit("start", "a", deadline=FAR)
        served.append(round(clock.monotonic(), 2))

    asks = [asyncio.create_task(ask()) for _ in range(3)]
    await clock.advance(seconds=4.9)
    assert served == []
    await drive(clock, asks, step=0.05)
    assert served == [5, 6, 7]


async def test_a_pause_reaches_those_who_wait_already():
    clock = ManualClock()
    limits = Limits(clock)
    asks = [asyncio.create_task(limits.admit("start", "a", deadline=FAR)) for _ in range(4)]
    await asyncio.sleep(0)
    await clock.advance(seconds=0.5)
    limits.pause("start", "a", 10)
    await clock.advance(seconds=9)
    assert not asks[3].done()
    await drive(clock, asks)


async def test_memory_holds_what_was_used_lately_and_no_more():
    clock = ManualClock()
    limits = Limits(clock)
    for number in range(5000):
        await limits.admit("start", str(number), deadline=FAR)
        await clock.advance(seconds=0.5)
    assert len(limits) <= 256
