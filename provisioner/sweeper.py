"""The round that puts the quiet to sleep and goes on with what was left unfinished."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from provisioner.errors import CloudError, Moved, ProvisionerError
from provisioner.idle import overslept, quiet
from provisioner.instance import Instance
from provisioner.lifecycle import Lifecycle
from provisioner.parts import Parts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    """When Machines go to sleep."""

    every: timedelta = timedelta(seconds=10)
    """Time between two rounds. Each costs three short queries."""
    suspend_after: timedelta = timedelta(minutes=15)
    """Quiet time before a Machine is suspended. Longer costs money, shorter costs wakes."""
    stop_after: timedelta = timedelta(days=7)
    """Suspended time before the snapshot is given up. A stopped Machine boots anew: seconds instead of a fraction."""
    awake_cap: timedelta = timedelta(hours=12)
    """Quiet time after which a Machine is suspended even if its Guard says it works, or cannot be read."""
    grace: timedelta = timedelta(seconds=2)
    """From the decision to the act; any hit on any replica within it cancels."""
    batch: int = 500
    """Instances judged in one round."""
    at_once: int = 10
    """Machines put to sleep side by side; Fly discourages suspending many at once."""


class Sweeper:
    """Runs until cancelled. Several replicas may: each step is leased and a compare-and-set."""

    def __init__(self, parts: Parts, lifecycle: Lifecycle, settings: SweepSettings) -> None:
        self._parts = parts
        self._lifecycle = lifecycle
        self._settings = settings

    async def run(self) -> None:
        """One round every `every`, for ever. A round that fails is logged, and the next one tries again."""
        while True:
            try:
                await self.round()
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
        now, settings = self._parts.clock.now(), self._settings
        candidates = await self._parts.store.quiet(before=now - settings.suspend_after, limit=settings.batch)
        touched = {i.user_id: at for i in candidates if (at := self._parts.traffic.last_touch(i.user_id)) is not None}
        judged = quiet(candidates, now=now, after=settings.suspend_after, touched=touched)

        async def suspend(instance: Instance) -> None:
            if await self._works(instance):
                log.info("kept_awake", user_id=str(instance.user_id))
                return
            await self._lifecycle.suspend(
                instance.user_id, actor="sweeper", grace=settings.grace, why=f"quiet for {settings.suspend_after}"
            )

        await self._each(judged, suspend)

    async def stop_overslept(self) -> None:
        """Second stage of sleep."""
        now, settings = self._parts.clock.now(), self._settings
        candidates = await self._parts.store.asleep(before=now - settings.stop_after, limit=settings.batch)

        async def stop(instance: Instance) -> None:
            await self._lifecycle.stop(instance.user_id, actor="sweeper", why=f"suspended for {settings.stop_after}")

        await self._each(overslept(candidates, now=now, after=settings.stop_after), stop)

    async def recover(self) -> None:
        """Go on with what a dead replica, or our own last run, left unfinished."""
        await self._each(await self._parts.store.unfinished(limit=self._settings.batch), self._lifecycle.recover)

    async def _works(self, instance: Instance) -> bool:
        """Does its Guard say that it works? Unreadable counts as yes, up to the cap."""
        parts = self._parts
        if parts.traffic.busy(instance.user_id):
            return True
        if parts.clock.now() - instance.last_active >= self._settings.awake_cap:
            return False
        if instance.private_ip is None or instance.machine_id is None:
            return False
        assertion = parts.keys.assertion(instance, now=parts.clock.now())
        return await parts.probe.busy(parts.endpoint(instance.private_ip), assertion, timeout=2.0)

    async def _each(self, instances: Sequence[Instance], act: Callable[[Instance], Awaitable[object]]) -> None:
        places = asyncio.Semaphore(self._settings.at_once)

        async def one(instance: Instance) -> None:
            async with places:
                try:
                    await act(instance)
                except Moved as moved:
                    log.debug("sweep_let_go", user_id=str(instance.user_id), because=str(moved))
                except (CloudError, ProvisionerError) as fault:
                    log.warning("sweep_stumbled", user_id=str(instance.user_id), error=str(fault))

        async with asyncio.TaskGroup() as group:
            for instance in instances:
                group.create_task(one(instance))
