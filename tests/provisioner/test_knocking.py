"""Knocking at a Machine that is coming up."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from provisioner.errors import CloudBroken
from provisioner.instance import Endpoint, Isolation, MachineId
from provisioner.knocking import knock
from provisioner.ports import Machine, MachineState
from provisioner.probe import Health
from tests.parts.clock import ManualClock

MACHINE = Machine(
    id=MachineId("m1"),
    name="jarvis-ada",
    state=MachineState.STARTING,
    region="fra",
    version="1",
    private_ip="fdaa::3",
    volume_id=None,
    image="golden",
    metadata={},
    host_ok=True,
)


@dataclass
class Street:
    """Time, a door that answers what it is told to, and a Fly that says when the Machine is up."""

    says: Sequence[Health | None]
    """What each knock brings; None: it is lost, and nothing ever comes of it."""
    clock: ManualClock = field(default_factory=ManualClock)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    deaf: bool = False
    isolation: Isolation = Isolation.APP
    takes: float = 0.0
    """Seconds until a knock has brought what it brings."""
    knocks: list[float] = field(default_factory=list)
    heard: list[Health | None] = field(default_factory=list)

    async def health(self, endpoint: Endpoint, machine_id: MachineId, *, timeout: float) -> Health:
        self.knocks.append(round(self.clock.monotonic(), 3))
        if self.takes:
            await self.clock.sleep(self.takes)
        self.says, said = self.says[1:], self.says[0] if self.says else Health.SILENT
        if said is None:
            await asyncio.Event().wait()
        assert said is not None
        return said

    async def wait(self, app: str, machine: Machine, states: Sequence[MachineState], *, timeout: timedelta) -> object:
        if self.deaf:
            raise CloudBroken("503")
        await self.up.wait()
        return MachineState.STARTED

    async def reached(self) -> bool:
        parts: Any = SimpleNamespace(
            clock=self.clock, probe=self, cloud=self, endpoint=lambda where: Endpoint(where, 8080)
        )
        within = timedelta(seconds=1)
        instance: Any = SimpleNamespace(app_name="jarvis", isolation=self.isolation)
        return await knock(parts, instance, MACHINE, "fdaa::3", within=within, heard=self.listen)

    async def begin(self) -> "asyncio.Future[bool]":
        """Knocking, begun."""
        knocking = asyncio.ensure_future(self.reached())
        await turns()
        return knocking

    async def listen(self, health: Health | None) -> bool:
        self.heard.append(health)
        return health is Health.READY


async def turns() -> None:
    """Enough of the loop for whoever was woken to reach their next wait."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_up_is_knocked_at_at_once_and_then_thinner_until_the_app_answers() -> None:
    street = Street([Health.SILENT, Health.SILENT, Health.STARTING, Health.READY])
    street.up.set()
    knocking = await street.begin()
    await street.clock.advance(seconds=0.1)
    assert await knocking
    assert street.knocks == [0.0, 0.01, 0.025, 0.048]
    assert street.heard == [Health.SILENT, Health.SILENT, Health.STARTING, Health.READY]


async def test_what_fly_does_not_call_up_yet_is_knocked_at_seldom() -> None:
    street = Street([])
    knocking = await street.begin()
    await street.clock.advance(seconds=2)
    assert not await knocking  # it is time to look again
    assert street.knocks == [0.5, 1.0]


async def test_a_machine_with_an_address_of_its_own_finds_a_knock_at_its_door() -> None:
    """Not yet up, it lets the connection wait, and answers before Fly tells anybody that it is."""
    street = Street([Health.READY], takes=0.3, isolation=Isolation.MACHINE)
    knocking = await street.begin()
    await street.clock.advance(seconds=0.4)
    assert await knocking
    assert street.knocks == [0.0]


async def test_one_that_was_lost_at_the_door_is_followed_by_seldom_ones_too() -> None:
    street = Street([], isolation=Isolation.MACHINE)
    knocking = await street.begin()
    await street.clock.advance(seconds=2)
    assert not await knocking
    assert street.knocks == [0.0, 0.5, 1.0]


async def test_a_knock_that_was_lost_is_not_waited_for_once_fly_says_that_it_is_up() -> None:
    """A packet to a suspended Machine is dropped: its sender would wait for a second after the resume."""
    street = Street([None, Health.READY])
    knocking = await street.begin()
    await street.clock.advance(seconds=0.6)
    assert street.knocks == [0.5]
    street.up.set()
    assert await knocking
    assert street.knocks == [0.5, 0.6]


async def test_what_comes_up_is_knocked_at_closely_from_then_on() -> None:
    street = Street([Health.SILENT, Health.STARTING, Health.READY])
    knocking = await street.begin()
    await street.clock.advance(seconds=0.6)
    assert street.knocks == [0.5]
    street.up.set()
    await turns()
    await street.clock.advance(seconds=0.05)
    assert await knocking
    assert street.knocks[1:] == [0.6, 0.61]


async def test_where_fly_will_not_say_one_knocks_as_if_it_had() -> None:
    street = Street([Health.SILENT, Health.SILENT, Health.READY], deaf=True)
    knocking = await street.begin()
    await street.clock.advance(seconds=0.1)
    assert await knocking
    assert street.knocks == [0.0, 0.01, 0.025]


@pytest.mark.parametrize(("takes", "heard"), [(0.5, Health.SILENT), (0.54, Health.SILENT), (0.6, None)])
async def test_silence_that_is_heard_late_says_nothing_about_the_machine(takes: float, heard: Health | None) -> None:
    """A gateway with too much to do misses answers; no Machine must be restarted for that."""
    street = Street([Health.SILENT], takes=takes)
    knocking = await street.begin()
    await street.clock.advance(seconds=2)
    assert not await knocking
    assert street.heard[0] is heard


async def test_an_answer_that_comes_late_is_an_answer() -> None:
    street = Street([Health.READY], takes=0.9)
    knocking = await street.begin()
    await street.clock.advance(seconds=2)
    assert await knocking
