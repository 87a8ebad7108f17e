"""Writes of many that come at once, as few statements."""

import asyncio
from collections.abc import Sequence

from provisioner.store.together import Together


class Ledger:
    """Writes when it is let; each call is kept with what it was asked to write."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.open = asyncio.Event()
        self.fails = 0

    async def write(self, items: Sequence[int]) -> None:
        self.calls.append([*items])
        await self.open.wait()
        if self.fails:
            self.fails -= 1
            raise ConnectionError("the database is away")


async def begun() -> None:
    """Whoever was started is as far as they come."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lone_one_does_not_wait_for_company() -> None:
    ledger = Ledger()
    ledger.open.set()
    together: Together[int] = Together(ledger.write)
    await together.add(1)
    await together.add(2)
    assert ledger.calls == [[1], [2]]


async def test_what_comes_while_one_is_written_is_written_together() -> None:
    ledger = Ledger()
    together: Together[int] = Together(ledger.write)
    adds = [asyncio.create_task(together.add(n)) for n in range(100)]
    await begun()
    assert ledger.calls == [[0]]
    late = [asyncio.create_task(together.add(n)) for n in (100, 101)]
    await begun()
    ledger.open.set()
    await asyncio.gather(*adds, *late)
    assert ledger.calls == [[0], [*range(1, 102)]]


async def test_nobody_returns_before_theirs_is_written() -> None:
    ledger = Ledger()
    together: Together[int] = Together(ledger.write)
    adds = [asyncio.create_task(together.add(n)) for n in range(3)]
    await begun()
    assert not any(add.done() for add in adds)
    ledger.open.set()
    await asyncio.gather(*adds)


async def test_a_failure_is_that_of_whoever_tried_and_the_next_tries_again() -> None:
    ledger = Ledger()
    ledger.fails = 2
    together: Together[int] = Together(ledger.write)
    adds = [asyncio.create_task(together.add(n)) for n in range(4)]
    await begun()
    ledger.open.set()
    told = await asyncio.gather(*adds, return_exceptions=True)
    assert [type(each) for each in told] == [ConnectionError, ConnectionError, type(None), type(None)]
    assert ledger.calls == [[0], [1, 2, 3], [1, 2, 3]]


async def test_who_is_cancelled_takes_nobody_along() -> None:
    ledger = Ledger()
    together: Together[int] = Together(ledger.write)
    before, first, second = (asyncio.create_task(together.add(n)) for n in range(3))
    await begun()
    for gone in (before, first):
        gone.cancel()
        await asyncio.wait({gone})
    ledger.open.set()
    await second
    assert before.cancelled()
    assert first.cancelled()
    assert ledger.calls == [[0], [1, 2], [1, 2]]  # whoever is left begins again
