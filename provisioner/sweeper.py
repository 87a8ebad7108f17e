"""Puts the quiet to sleep and goes on with what was left unfinished: a little all the time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

import structlog

from provisioner.awake import Vigils
from provisioner.errors import CloudError, Moved, ProvisionerError, RateLimited
from provisioner.flap import NAP, OFTEN, WINDOW, Flap, flap
from provisioner.idle import Candidate, SleepTimes, overslept, quiet
from provisioner.instance import Instance, UserId
from provisioner.lifecycle import Lifecycle
from provisioner.pace import Pace
from provisioner.parts import Parts
from provisioner.switches import Switch

log = structlog.get_logger(__name__)
T = TypeVar("T")

ASK_AGAIN: Final = timedelta(seconds=30)
"""Whoever works is asked again after so long, or after a tenth of their quiet time if that is shorter."""
NAPS_EVERY: Final = timedelta(minutes=1)
"""How often the audit log is asked who flaps."""
SLOW_DOWN_S: Final = 5.0
"""After a 429 that names no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    """How the sweeper goes about it. When Machines go to sleep is their plan's affair."""

    every: timedelta = timedelta(seconds=10)
    """Time between two judgements of who is due. Each costs a query for every `batch` of quiet Instances."""
    grace: timedelta = timedelta(seconds=2)
    """From the decision to the act; any hit on any replica within it cancels."""
    batch: int = 500
    """Instances read at once."""
    at_once: int = 40
    """Instances worked on side by side. A sleep takes the grace and up to 15 s of Fly's."""
    per_second: float = 5
    """Machines put to sleep in a second, at most: Fly discourages suspending many at once. Slower costs money."""
    turn: timedelta = timedelta(minutes=1)
    """After so long a round over many begins anew, so that what changed meanwhile is judged."""
    guard_patience: float = 2.0
    """Seconds for a Guard to say whether its Machine works."""


class Sweeper:
    """Runs until cancelled. Several replicas may: each step is leased and a compare-and-set."""

    def __init__(self, parts: Parts, lifecycle: Lifecycle, settings: SweepSettings, *, record: Vigils) -> None:
        self._parts = parts
        self._lifecycle = lifecycle
        self._settings = settings
        self._record = record
        self._pace = Pace(parts.clock, settings.per_second)
        self._ask_again: dict[UserId, float] = {}  # whoever works, and when to look again
        self.flapping: Mapping[UserId, Flap] = {}
        """Who wakes and sleeps too often, as of the last look."""
        self._flaps_until = float("-inf")

    async def run(self) -> None:
        """All rounds beside each other, each every `every`, for ever. One that fails is logged and tried again."""
        async with asyncio.TaskGroup() as rounds:
            for work in (self.recover, self.suspend_quiet, self.stop_overslept):
                rounds.create_task(self._again_and_again(work))

    async def _again_and_again(self, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("sweep_failed")
            await self._parts.clock.sleep(self._settings.every.total_seconds())

    async def round(self) -> None:
        """Everything once."""
        await self.recover()
        await self.suspend_quiet()
        await self.stop_overslept()

    async def suspend_quiet(self) -> None:
        """First stage of sleep, for whoever was quiet long enough and does not work."""
        if self._parts.switches.on(Switch.PAUSE_SWEEPS):
            return
        vigils: dict[UserId, str] = {}

        async def suspend(candidate: Candidate) -> None:
            # Behind thousands of others this one's turn may come minutes after it was judged.
            instance = await self._still_due(candidate)
            if instance is None:
                return
            plan = self._parts.plans.of(instance.user_id)
            reason = await self._works(instance, plan)
            if reason is not None:
                vigils[instance.user_id] = reason
                again = min(ASK_AGAIN, plan.suspend_after / 10).total_seconds()
                self._ask_again[instance.user_id] = self._parts.clock.monotonic() + again
                log.debug("kept_awake", user_id=str(instance.user_id), reason=reason)
                return
            await self._pace.turn()
            await self._lifecycle.suspend(
                instance.user_id,
                actor="sweeper",
                grace=self._settings.grace,
                why=f"quiet for {_words(plan.suspend_after)}",
                still=candidate.unmoved,
                objection=lambda seen: self._works(seen, plan),
            )

        try:
            await self._each(await self.due(), suspend, who=lambda candidate: candidate.instance.user_id)
        finally:
            if vigils:
                await self._record.note_vigils(vigils, going_on=2 * ASK_AGAIN + 2 * self._settings.every)

    async def due(self) -> list[Candidate]:
        """Everybody who is to be suspended now, longest quiet first. Who was found at work a moment ago is left out."""
        now, monotonic = self._parts.clock.now(), self._parts.clock.monotonic()
        self._ask_again = {user_id: at for user_id, at in self._ask_again.items() if at > monotonic}
        flaps = await self._flaps(now)
        found: list[Candidate] = []
        shortest = min(plan.suspend_after for plan in self._parts.plans.all())
        async for page in self._pages(self._parts.store.quiet, now - shortest):
            found += [each for each in self._judged(page, now, flaps) if each.instance.user_id not in self._ask_again]
        return found

    async def stop_overslept(self) -> None:
        """Second stage of sleep."""
        if self._parts.switches.on(Switch.PAUSE_SWEEPS):
            return
        now = self._parts.clock.now()

        async def stop(candidate: Candidate) -> None:
            await self._pace.turn()
            after = self._parts.plans.of(candidate.instance.user_id).stop_after
            await self._lifecycle.stop(
                candidate.instance.user_id,
                actor="sweeper",
                why=f"suspended for {_words(after)}",
                still=candidate.unmoved,
            )

        async for page in self._pages(
            self._parts.store.asleep, now - min(plan.stop_after for plan in self._parts.plans.all())
        ):
            judged = overslept(page, now=now, times_of=self._parts.plans.of)
            await self._each(judged, stop, who=lambda candidate: candidate.instance.user_id)

    async def recover(self) -> None:
        """Go on with what a dead replica, or our own last run, left unfinished."""
        unfinished = await self._parts.store.unfinished(limit=self._settings.batch)
        await self._each(unfinished, self._lifecycle.recover, who=lambda instance: instance.user_id)

    # -- judging

    def _judged(self, page: Iterable[Candidate], now: datetime, flaps: Mapping[UserId, Flap]) -> list[Candidate]:
        candidates = list(page)
        users = [candidate.instance.user_id for candidate in candidates]
        touched = {user_id: at for user_id in users if (at := self._parts.traffic.last_touch(user_id)) is not None}
        return quiet(candidates, now=now, times_of=self._parts.plans.of, touched=touched, flaps=flaps)

    async def _still_due(self, candidate: Candidate) -> Instance | None:
        instance = await self._parts.store.find(candidate.instance.user_id)
        if instance is None:
            return None
        fresh = replace(candidate, instance=instance)
        return instance if self._judged([fresh], self._parts.clock.now(), self.flapping) else None

    async def _works(self, instance: Instance, times: SleepTimes) -> str | None:
        """Why its Machine is not to be put to sleep though its user is quiet; None if nothing speaks against it."""
        parts = self._parts
        if parts.traffic.busy(instance.user_id):
            return "an open request"
        if (work := parts.traffic.working(instance.user_id)) is not None:
            return work
        if parts.clock.now() - instance.last_active >= times.awake_cap:
            return None
        if instance.private_ip is None or instance.machine_id is None:
            return None
        assertion = parts.keys.assertion(instance, now=parts.clock.now())
        endpoint = parts.endpoint(instance.private_ip)
        return await parts.probe.busy(endpoint, assertion, timeout=self._settings.guard_patience)

    async def _flaps(self, now: datetime) -> Mapping[UserId, Flap]:
        if self._parts.clock.monotonic() >= self._flaps_until:
            self._flaps_until = self._parts.clock.monotonic() + NAPS_EVERY.total_seconds()
            naps = await self._record.naps(since=now - WINDOW, shorter_than=NAP, at_least=OFTEN)
            before = self.flapping
            self.flapping = {user_id: found for user_id, n in naps.items() if (found := flap(n)) is not None}
            for user_id in self.flapping.keys() - before.keys():
                log.warning("instance_flaps", user_id=str(user_id), naps=self.flapping[user_id].naps)
        return self.flapping

    async def _pages(self, read: "Read", before: datetime) -> AsyncIterator[Sequence[Candidate]]:
        last: Candidate | None = None
        while page := await read(before=before, limit=self._settings.batch, after=last):
            yield page
            if len(page) < self._settings.batch:
                return
            last = page[-1]

    # -- doing

    async def _each(
        self, all_of: Iterable[T], act: Callable[[T], Awaitable[object]], *, who: Callable[[T], UserId]
    ) -> None:
        """`act` on each, in order, `at_once` side by side. What goes wrong with one is logged and stops no other."""
        left, until = iter(all_of), self._parts.clock.monotonic() + self._settings.turn.total_seconds()

        async def worker() -> None:
            for one in left:
                if self._parts.clock.monotonic() >= until:
                    return  # whoever is left is found again by the next round
                try:
                    await act(one)
                except Moved as moved:
                    log.debug("sweep_let_go", user_id=str(who(one)), because=str(moved))
                except RateLimited as fault:
                    self._pace.rest(SLOW_DOWN_S if fault.retry_after is None else fault.retry_after)
                    log.warning("sweep_stumbled", user_id=str(who(one)), error=str(fault))
                except (CloudError, ProvisionerError) as fault:
                    log.warning("sweep_stumbled", user_id=str(who(one)), error=str(fault))

        async with asyncio.TaskGroup() as workers:
            for _ in range(self._settings.at_once):
                workers.create_task(worker())


class Read(Protocol):
    """`ports.Store.quiet` or `.asleep`."""

    def __call__(
        self, *, before: datetime, limit: int, after: Candidate | None = None
    ) -> Awaitable[Sequence[Candidate]]: ...


def _words(span: timedelta) -> str:
    """`900 s` as "15 min"."""
    seconds = span.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
