"""No faster than so many a second."""

import asyncio

from provisioner.pace import Pace
from tests.parts.clock import ManualClock


async def test_turns_are_evenly_spaced_and_rests_are_kept() -> None:
    clock, went = ManualClock(), []
    pace = Pace(clock, 2)

    async def go() -> None:
        await pace.turn()
        went.append(clock.monotonic())

    async with asyncio.TaskGroup() as all_at_once:
        for _ in range(4):
            all_at_once.create_task(go())
        await asyncio.sleep(0)
        await clock.advance(seconds=10)
    assert went == [0.0, 0.5, 1.0, 1.5]
    pace.rest(5)
    late = asyncio.create_task(go())
    await asyncio.sleep(0)
    await clock.advance(seconds=4.9)
    assert len(went) == 4
    await clock.advance(seconds=0.2)
    await late
    assert went[-1] == 15.0
