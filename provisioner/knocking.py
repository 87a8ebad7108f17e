"""Knocking at a Machine that is coming up until it says what one wants to hear."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from provisioner.clock import before
from provisioner.errors import CloudError
from provisioner.instance import Instance, Isolation
from provisioner.parts import Parts
from provisioner.ports import Machine, MachineState
from provisioner.probe import Health
from provisioner.tasks import Tasks

ASLEEP_PAUSE_S: Final = 0.5
FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.1
ONE_KNOCK_S: Final = 0.5
LATE_S: Final = 0.05
"""Beyond ONE_KNOCK_S: who hears of a silence only then may have missed an answer, having too much else to do."""
UP: Final = (MachineState.STARTED, MachineState.FAILED)


async def knock(
    parts: Parts,
    instance: Instance,
    machine: Machine,
    where: str,
    *,
    within: timedelta,
    heard: Callable[[Health | None], Awaitable[bool]],
) -> bool:
    """Does what `machine` says at `where` satisfy `heard` within `within`? It is told what each knock brought.

    None is a silence that says nothing about the Machine: this gateway was too busy to hear an answer in time.

    Fly is asked beside it whether the Machine is up. Until it says so there is a knock every 500 ms, in case its word
    comes late: one at a Machine that sleeps costs us as much as a call to Fly, for nothing. From then on, or if Fly
    will not say, they come 10→100 ms apart. One that may be lost, as packets to a suspended Machine are, is not waited
    for when Fly's word comes. A Machine with an address of its own has one at its door from the beginning, in case it
    finds it there; Fly Proxy, before an app's address, would hang up. Cancellable; raises what `heard` raises.
    """
    clock, endpoint = parts.clock, parts.endpoint(where)
    until, pause = clock.monotonic() + within.total_seconds(), FIRST_PAUSE_S
    apart = 0.0 if instance.isolation is Isolation.MACHINE else ASLEEP_PAUSE_S
    async with Tasks() as tasks:
        up = tasks.begin(_is_up(parts, instance.app_name, machine), name=f"up:{machine.id}")
        while clock.monotonic() < until:
            awaited, apart = not await before(clock, min(until, clock.monotonic() + apart), up), ASLEEP_PAUSE_S
            knocked = clock.monotonic()
            asked = tasks.begin(parts.probe.health(endpoint, machine.id, timeout=ONE_KNOCK_S), name="knock")
            await asyncio.wait({asked, up} if awaited else {asked}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                told = asked.result()
                late = clock.monotonic() - knocked > ONE_KNOCK_S + LATE_S
                if await heard(None if told is Health.SILENT and late else told):
                    return True
            asked.cancel()
            if not awaited:
                await clock.sleep(pause)
                pause = min(LONGEST_PAUSE_S, pause * 1.5)
    return False


async def _is_up(parts: Parts, app: str, machine: Machine) -> None:
    """Return when Fly says so, or will not say."""
    if machine.state is not MachineState.STARTED:
        with suppress(CloudError):
            await parts.cloud.wait(app, machine, UP, timeout=timedelta(seconds=60))
