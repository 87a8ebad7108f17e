"""The answers to what an operator asks first, put together from the database, the plans and Fly."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from gateway.overview.book import Depth, Failures, FlyCalls, Held, OverviewBook, Replica, RunTimes
from gateway.overview.costs import Spent, spent, usd_per_day_awake
from gateway.overview.needs import AWAKE_AFTER, FAILURES, FLAPS, FLAPS_WITHIN, STUCK_AFTER, Need, in_order, needs_of
from provisioner.clock import Clock
from provisioner.errors import CloudError
from provisioner.instance import Instance, MachineId
from provisioner.lifecycle import Lifecycle
from provisioner.plans import Plans
from provisioner.ports import Machine
from provisioner.prices import Prices
from provisioner.progress import Step

USERS_NOW: Final = timedelta(minutes=5)
"""Whoever did something within so long is here now."""
DAY: Final = timedelta(days=1)
NEEDS_MOST: Final = 200
BUCKETS: Final = 48
FLY_WITHIN_S: Final = 5.0
MoreNeeds = Callable[[], Awaitable[Sequence[Need]]]


class Clouds(Protocol):
    """Fly, as far as this looks."""

    async def machine(self, app: str, machine_id: MachineId) -> Machine | None: ...
    def take_ended(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """How things stand. Today began at midnight UTC."""

    now: datetime
    users_now: int
    states: Mapping[str, int]
    depth: Depth
    runs: Sequence[RunTimes]
    """Of the last 24 hours, by path."""
    today: Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """For charts, since `since`."""

    since: datetime
    until: datetime
    runs: Sequence[RunTimes]
    failures: Sequence[Failures]
    fly: Sequence[FlyCalls]
    depth: Depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A bring-up that this replica does."""

    path: str
    attempt: int
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truths:
    """One Instance as the database, the replicas and Fly have it; and where they differ."""

    record: Instance
    held: Held | None
    work: Work | None
    machine: Machine | None
    fly_error: str | None
    differ: Sequence[str]


class Overview:
    """Every call reads afresh."""

    def __init__(
        self,
        book: OverviewBook,
        lifecycle: Lifecycle,
        cloud: Clouds,
        plans: Plans,
        prices: Prices,
        clock: Clock,
        *,
        more: Sequence[MoreNeeds] = (),
    ) -> None:
        """`more` name further things that need somebody."""
        self._book, self._lifecycle, self._cloud = book, lifecycle, cloud
        self._plans, self._prices, self._clock, self._more = plans, prices, clock, more

    async def glance(self, figures: Figures | None = None) -> Glance:
        """`figures` of the last DAY, for whoever has them already: what is in them is not asked again."""
        now = self._clock.now()
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        runs = figures.runs if figures else await self._book.run_times(since=now - DAY, bucket=DAY)
        return Glance(
            now=now,
            users_now=await self._book.users_now(since=now - USERS_NOW),
            states=await self._book.states(),
            depth=figures.depth if figures else await self._book.depth(),
            runs=[each for each in runs if each.bucket is None],
            today=spent(await self._book.day(day=day, now=now), self._plans, self._prices),
        )

    async def needs(self) -> Sequence[Need]:
        now = self._clock.now()
        trouble = await self._book.trouble(
            stuck_before=now - STUCK_AFTER,
            awake_before=now - AWAKE_AFTER,
            flaps_since=now - FLAPS_WITHIN,
            flaps=FLAPS,
            failures=FAILURES,
            limit=NEEDS_MOST,
        )
        found = needs_of(
            trouble,
            await self._book.replicas(),
            now=now,
            usd_per_day=lambda user_id: usd_per_day_awake(user_id, self._plans, self._prices),
        )
        return in_order([*found, *[need for ask in self._more for need in await ask()]])

    async def figures(self, within: timedelta) -> Figures:
        now = self._clock.now()
        since = now - within
        return Figures(
            since=since,
            until=now,
            runs=await self._book.run_times(since=since, bucket=within / BUCKETS),
            failures=await self._book.failures(since=since),
            fly=await self._book.fly_calls(since=since),
            depth=await self._book.depth(),
        )

    async def replicas(self) -> Sequence[Replica]:
        return await self._book.replicas()

    async def truths(self, instance: Instance) -> Truths:
        machine, fly_error = None, None
        if instance.machine_id is not None:
            try:
                machine = await self._cloud.machine(instance.app_name, instance.machine_id)
            except CloudError as fault:
                fly_error = f"{type(fault).__name__}: {fault}"
        job = self._lifecycle.job(instance.user_id)
        work = None
        if job is not None:
            work = Work(path=job.progress.path, attempt=job.progress.attempt, steps=job.progress.steps())
        held = await self._book.lease(instance.user_id)
        if held is not None and (held.owner is None or held.until < self._clock.now()):
            held = None
        return Truths(
            record=instance,
            held=held,
            work=work,
            machine=machine,
            fly_error=fly_error,
            differ=differences(instance, machine, asked=fly_error is None),
        )


def differences(instance: Instance, machine: Machine | None, *, asked: bool) -> Sequence[str]:
    """Where the record and Fly do not say the same, in words. Nothing, if Fly could not be asked."""
    if not asked or instance.machine_id is None:
        return ()
    if machine is None:
        return (f"Fly has no Machine {instance.machine_id}.",)
    found = []
    expected = _EXPECTED.get(instance.state.value)
    if expected is not None and machine.state.value not in expected:
        found.append(f"The record says {instance.state}, Fly says {machine.state}.")
    if instance.volume_id is not None and machine.volume_id not in (None, instance.volume_id):
        found.append(f"The record names volume {instance.volume_id}, the Machine mounts {machine.volume_id}.")
    if not machine.host_ok:
        found.append("Fly says that the Machine's host is not well.")
    return found


_EXPECTED: Final[Mapping[str, frozenset[str]]] = {
    "active": frozenset({"started", "starting"}),
    "suspended": frozenset({"suspended"}),
    "stopped": frozenset({"stopped", "created"}),
}
