"""One run of a piece of work at a time."""

import asyncio

import pytest

from gateway.session.flight import Flights


class Work:
    def __init__(self) -> None:
        self.runs, self.go = 0, asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        await self.go.wait()
        if run == 13:
            raise ValueError("unlucky")
        return run


async def test_many_callers_share_one_run_and_the_next_starts_another() -> None:
    flights, work = Flights[int](), Work()
    asking = [asyncio.ensure_future(flights.share("key", work)) for _ in range(10)]
    await asyncio.sleep(0)
    work.go.set()
    assert set(await asyncio.gather(*asking)) == {1}
    assert await flights.share("key", work) == 2


async def test_a_caller_that_leaves_leaves_the_run_to_the_others() -> None:
    flights, work = Flights[int](), Work()
    leaving, staying = (asyncio.ensure_future(flights.share("key", work)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    work.go.set()
    assert await staying == 1
    assert leaving.cancelled()


async def test_a_failure_reaches_every_caller_and_is_not_remembered() -> None:
    flights, work = Flights[int](), Work()
    work.runs = 12
    asking = [asyncio.ensure_future(flights.share("key", work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.go.set()
    assert all(isinstance(outcome, ValueError) for outcome in await asyncio.gather(*asking, return_exceptions=True))
    assert await flights.share("key", work) == 14


async def test_a_failure_that_nobody_waited_for_is_no_noise() -> None:
    """Warnings are errors here: a task exception nobody looked at would fail this test."""
    flights, work = Flights[int](), Work()
    work.runs = 12
    work.go.set()
    flights.begin("key", work)
    await flights.settle()


async def test_closing_waits_a_while_and_then_cancels() -> None:
    flights, work = Flights[int](), Work()
    asking = asyncio.ensure_future(flights.share("key", work))
    await asyncio.sleep(0)
    await flights.aclose(patience=0.01)
    with pytest.raises(asyncio.CancelledError):
        await asking
