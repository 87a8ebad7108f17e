"""What is measured: first visits by the hundred, claims from the pool, wakes one by one and all at once."""

import asyncio
import random
import time
from datetime import datetime
from typing import Any, Final

from bench.lifecycle.figures import Times
from bench.lifecycle.people import People
from bench.lifecycle.stage import BOOT_S, Stage
from bench.processes import Failed
from localcloud.fly.limits import DOCUMENTED, UNLIMITED
from localcloud.fly.states import State

VISITORS: Final = 350
WITHIN_S: Final = 60.0
CLAIMS: Final = 40
WAKES: Final = 60
CROWD: Final = 100
SETTLE_S: Final = 2.0
"""After a hundred suspends: what is left to do of them is not the wakes' work."""
_SEED: Final = 1


async def first_visits(stage: Stage, *, platform_s: float, number: int = VISITORS) -> Times:
    """`number` people come for the first time within a minute, as they please; what was added to `platform_s`."""
    chance = random.Random(_SEED)
    async with People(stage) as people:
        cookies = await people.sign_in([f"new-{n}" for n in range(number)])

        async def come(cookie: str) -> float | Failed:
            await asyncio.sleep(chance.uniform(0, WITHIN_S * number / VISITORS))
            try:
                return await people.visit(cookie)
            except (Failed, TimeoutError, OSError) as failure:
                return Failed(str(failure) or type(failure).__name__)

        return Times.of(await asyncio.gather(*(come(cookie) for cookie in cookies)), platform_s)


async def pool_full(stage: Stage, spares: int) -> None:
    """Return when so many spares wait. Fly is quick and without limits meanwhile: filling is not what is measured."""
    stage.fly.limits.rates, stage.fly.latencies.start = UNLIMITED, 0.0
    ready = "select count(*) from gateway.spares where state = 'ready'"
    deadline = time.monotonic() + 5.0 * spares
    while await stage.rows.fetchval(ready) < spares:
        if time.monotonic() > deadline:
            raise Failed(f"only {await stage.rows.fetchval(ready)} of {spares} spares are ready")
        await asyncio.sleep(0.2)
    stage.fly.limits.rates, stage.fly.latencies.start = DOCUMENTED, BOOT_S


async def claims(stage: Stage, *, platform_s: float, number: int = CLAIMS) -> Times:
    """First visits one after the other, each from the pool; what was added to `platform_s`."""
    async with People(stage) as people:
        took: list[float | Exception] = []
        for cookie in await people.sign_in([f"claimer-{n}" for n in range(number)]):
            took.append(await people.visit(cookie))
            await asyncio.sleep(0.2)
        return Times.of(took, platform_s)


async def wakes(stage: Stage, *, number: int = WAKES) -> Times:
    """One after the other, what was added to the time in which Fly resumed each Machine."""
    async with People(stage) as people:
        cookies = await people.sign_in([f"sleeper-{n}" for n in range(12)])
        for cookie in cookies:
            await people.visit(cookie)
        took: list[float | Failed] = []
        while len(took) < number:
            await _all_asleep(stage)
            for cookie in cookies:
                stage.fly.calls.reset()
                whole = await people.visit(cookie)
                took.append(whole - (await _resumed(stage))[0])
                await asyncio.sleep(0.05)
        return Times.of(took[:number], 0.0)


async def crowd(stage: Stage, *, number: int = CROWD) -> Times:
    """`number` wakes at the same instant, likewise."""
    async with People(stage) as people:
        cookies = await people.sign_in([f"crowd-{n}" for n in range(number)])
        stage.fly.limits.rates, stage.fly.latencies.start = UNLIMITED, 0.0
        for cookie in cookies:
            await people.visit(cookie)
        stage.fly.limits.rates, stage.fly.latencies.start = DOCUMENTED, BOOT_S
        await _all_asleep(stage)
        await asyncio.sleep(SETTLE_S)
        stage.fly.calls.reset()
        took = await asyncio.gather(*(people.visit(cookie) for cookie in cookies))
        resumed = sorted(await _resumed(stage))
        # Who waited for which Machine does not matter to the distribution: each took about as long.
        middle = resumed[len(resumed) // 2]
        return Times.of([whole - middle for whole in took], 0.0)


async def _all_asleep(stage: Stage) -> None:
    """Every Machine suspended by the gateway, as by its sweeper. Who was here a moment ago objects: once more, then."""
    async with People(stage) as people, asyncio.timeout(60):
        awake = "select user_id from public.user_instances where state <> 'suspended'"
        while rows := await stage.rows.fetch(awake):
            orders = (people.order(row["user_id"], "suspend") for row in rows)
            for refused in await asyncio.gather(*orders, return_exceptions=True):
                if refused is not None and not isinstance(refused, Failed):
                    raise refused


async def _resumed(stage: Stage) -> list[float]:
    """Seconds from each start that came in at Fly since the calls were reset to `started`, by Fly's own books."""
    world, found = stage.fly.world, []
    for call in stage.fly.calls.latest:
        if call["action"] == "start_machine" and call["status"] == 200:
            machine = world.machines[call["machine_id"]]
            assert machine.state is State.STARTED, machine.state
            asked = datetime.fromisoformat(call["at"]).timestamp()
            event: dict[str, Any] = next(e for e in reversed(machine.events) if e["status"] == "started")
            found.append(event["timestamp"] / 1000 - asked)
    if not found:
        raise Failed("nothing was started at Fly")
    return found
