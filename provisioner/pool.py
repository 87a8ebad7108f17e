"""The warm pool: keeps as many spare Machines as are likely to be needed, each suspended with its Guard waiting."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from provisioner import naming, prices
from provisioner.backoff import backoff
from provisioner.errors import CloudError, Moved, NotReady, ProvisionerError
from provisioner.instance import Isolation, UserId
from provisioner.parts import Parts
from provisioner.ports import Machine, MachineSpec, MachineState
from provisioner.prices import Prices
from provisioner.probe import Health
from provisioner.spares import Spare, SpareEvent, Spares, SpareState, decide, pool_size
from provisioner.switches import Switch
from provisioner.tasks import Tasks

log = structlog.get_logger(__name__)

POOL: Final = UserId(UUID("00000000-0000-4000-8000-00000000f001"))
"""Whose lease the keeper of the pool holds: nobody's user id, as it is no random one."""
HISTORY_MIN: Final = 60
ADOPT_AFTER: Final = timedelta(minutes=1)
"""A claimed spare without an Instance for so long was taken by a claim that came to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """The pool as an operator sees it. `usd_per_month`: what its present spares cost if they wait for a month."""

    enabled: bool
    target: int
    states: Mapping[str, int]
    images: Mapping[str, int]
    """READY ones by image."""
    arrivals_per_hour: int
    usd_per_month: float


class Pool:
    """Runs until cancelled. Of all replicas one keeps the pool; the others stand by for its lease."""

    def __init__(self, parts: Parts, spares: Spares, prices: Prices, *, told: Callable[[int, int], None]) -> None:
        """`told` hears after each round how many spares should be and are READY; it must not raise."""
        self._parts, self._spares, self._prices, self._told = parts, spares, prices, told
        self._target = 0
        self._failures = 0
        self._not_before = 0.0
        self._checked: dict[UUID, float] = {}
        self._making: set[UUID] = set()

    async def run(self) -> None:
        """Keep the pool, or wait to do so, for ever."""
        while True:
            try:
                async with self._parts.working_on(POOL) as lease, Tasks() as work:
                    while lease is not None:
                        await self.round(work)
                        await self._parts.clock.sleep(self._parts.pool.every.total_seconds())
            except Moved:
                log.info("pool_left_to_another")
            except Exception as fault:
                log.warning("pool_stumbled", error=repr(fault))
            self._making.clear()
            await self._parts.clock.sleep(self._parts.pool.every.total_seconds())

    async def round(self, work: Tasks) -> None:
        """Bring the pool nearer to what it should be. Spares are made in `work`, beside it."""
        settings, clock = self._parts.pool, self._parts.clock
        begun = set(self._making)  # before the rows are read: one that is begun may have none yet, or be ready by now
        spares = await self._spares.all_spares()
        self._target = pool_size(await self._spares.arrivals(minutes=HISTORY_MIN), self._target, settings)
        for spare in spares:
            if spare.state is SpareState.MAKING and spare.id not in begun:
                await self._discard(spare, "its maker is gone")
            elif spare.state is SpareState.CLAIMED and clock.now() - spare.state_since >= ADOPT_AFTER:
                await self._discard(spare, "claimed by nobody who stayed")
        await self._check(spares)
        decision = decide(spares, target=self._target, model=self._parts.model, now=clock.now(), settings=settings)
        for spare, why in decision.discard:
            await self._discard(spare, why)
        for spare in await self._spares.all_spares():
            if spare.state is SpareState.DOOMED:
                await self._bury(spare)
        held = self._parts.switches.on(Switch.PAUSE_PROVISIONING)
        if clock.monotonic() >= self._not_before and not held:
            unwritten = len(begun - {spare.id for spare in spares})
            for _ in range(min(decision.make - unwritten, settings.at_once - len(self._making))):
                spare_id = uuid4()
                self._making.add(spare_id)
                work.begin(self._make(spare_id), name=f"spare:{spare_id}")
        self._told(self._target, sum(spare.state is SpareState.READY for spare in spares))

    async def status(self) -> PoolStatus:
        """How it stands, as any replica may tell."""
        spares = await self._spares.all_spares()
        month = timedelta(days=30)
        costs = (prices.asleep(self._prices, month) + prices.volume(self._prices, s.volume_gb, month) for s in spares)
        arrivals = await self._spares.arrivals(minutes=HISTORY_MIN)
        return PoolStatus(
            enabled=self._parts.pool.most > 0,
            target=pool_size(arrivals, self._target, self._parts.pool),
            states=Counter(spare.state.value for spare in spares),
            images=Counter(spare.image for spare in spares if spare.state is SpareState.READY),
            arrivals_per_hour=sum(arrivals),
            usd_per_month=round(sum(costs), 2),
        )

    # -- making --------------------------------------------------------------------------------------------------

    async def _make(self, spare_id: UUID) -> None:
        """One spare from nothing to READY; what fails on the way is given up, and the next waits longer."""
        clock = self._parts.clock
        began = clock.monotonic()
        try:
            await self._bring_up(spare_id)
        except (CloudError, ProvisionerError) as fault:
            self._failures += 1
            pause = backoff(self._failures, first=5.0, cap=600.0, chance=clock.jitter())
            self._not_before = clock.monotonic() + pause
            log.warning("spare_not_made", spare=str(spare_id), error=str(fault), next_in_s=round(pause, 1))
            await self._spares.move_spare(spare_id, SpareState.MAKING, SpareEvent.DISCARD, why=str(fault)[:500])
        except Exception as fault:  # the database is away: the next round finds a spare that nobody makes
            log.warning("spare_not_made", spare=str(spare_id), error=repr(fault), next_in_s=0)
        else:
            self._failures = 0
            log.info("spare_ready", spare=str(spare_id), took_s=round(clock.monotonic() - began, 3))
        finally:
            self._making.discard(spare_id)

    async def _bring_up(self, spare_id: UUID) -> None:
        parts, cloud, spares = self._parts, self._parts.cloud, self._spares
        settings, model, name = parts.settings, parts.model, naming.spare_name(parts.settings.env, spare_id)
        own_app = model.isolation is Isolation.APP
        app = name if own_app else settings.app_name
        await spares.add_spare(spare_id, model, app_name=app, machine_name=name)
        address = None
        if own_app:
            app_id = await cloud.create_app(app, network=naming.network_name(spare_id))
            await spares.record_spare(spare_id, app_id=app_id)
            address = await cloud.assign_address(app, network=settings.gateway_network)
            await spares.record_spare(spare_id, flycast_ip=address, private_ip=address)
        volume = await cloud.create_volume(
            app,
            name=naming.spare_volume_name(spare_id),
            region=model.region,
            size_gb=model.volume_gb,
            guest=model.guest,
        )
        spare = await spares.record_spare(spare_id, volume_id=volume.id, region=volume.region)
        spec = MachineSpec(
            name=name,
            region=volume.region,
            image=model.image,
            guest=model.guest,
            volume_id=volume.id,
            env={
                **parts.common_environment(),
                "JARVIS_GUARD_KEYS": parts.keys.for_machine(spare_id),
                "JARVIS_SPARE": "1",
            },
            metadata=naming.ownership(spare, env=settings.env, deployment=settings.deployment),
            service_port=settings.guard_port if own_app else None,
        )
        machine = await cloud.create_machine(app, spec)
        await spares.record_spare(spare_id, machine_id=machine.id, private_ip=address or machine.private_ip)
        machine = await self._waits_for_its_claim(app, machine, address)
        await spares.record_spare(spare_id, private_ip=address or machine.private_ip, region=machine.region)
        await cloud.suspend(app, machine.id)
        reached = await cloud.wait(app, machine, (MachineState.SUSPENDED,), timeout=settings.sleep_within)
        log.debug("spare_asleep", spare=str(spare_id), reached=reached)
        if not await spares.move_spare(spare_id, SpareState.MAKING, SpareEvent.PROBED):
            raise Moved(f"spare {spare_id} was given up meanwhile")

    async def _waits_for_its_claim(self, app: str, machine: Machine, address: str | None) -> Machine:
        """Its Machine as it is when the Guard has said so. Raises NotReady."""
        parts, within = self._parts, self._parts.pool.make_within
        until, pause, looks = parts.clock.monotonic() + within.total_seconds(), 0.05, 0
        while parts.clock.monotonic() < until:
            where = address or machine.private_ip
            if where is not None:
                health = await parts.probe.health(parts.endpoint(where), machine.id, timeout=1.0)
                if health is Health.UNCLAIMED:
                    return machine
                if health is not Health.SILENT:
                    raise NotReady(f"its Guard says {health}: this image knows no claims")
            await parts.clock.sleep(pause)
            pause, looks = min(1.0, pause * 1.5), looks + 1
            if looks % 5 == 0:  # its address may have come, or its end
                seen = await parts.cloud.machine(app, machine.id)
                if seen is None or seen.state in (MachineState.FAILED, MachineState.LAUNCH_FAILED):
                    raise NotReady("it did not start")
                machine = seen
        raise NotReady(f"its Guard did not answer within {within}")

    # -- giving up -----------------------------------------------------------------------------------------------

    async def _check(self, spares: Sequence[Spare]) -> None:
        """Look at the Machines of those that wait, each now and then: what would be dead at its claim goes before."""
        now, every = self._parts.clock.monotonic(), self._parts.pool.check_every.total_seconds()
        ready = [spare for spare in spares if spare.state is SpareState.READY]
        self._checked = {spare.id: self._checked.get(spare.id, now) for spare in ready}
        for spare in ready:
            if now - self._checked[spare.id] < every or spare.machine_id is None:
                continue
            self._checked[spare.id] = now
            try:
                machine = await self._parts.cloud.machine(spare.app_name, spare.machine_id)
            except CloudError as fault:
                log.info("spare_not_seen", spare=str(spare.id), error=str(fault))
                continue
            if machine is None or not machine.host_ok or machine.state is not MachineState.SUSPENDED:
                await self._discard(spare, f"Fly shows it {'gone' if machine is None else machine.state}")

    async def _discard(self, spare: Spare, why: str) -> None:
        if await self._spares.move_spare(spare.id, spare.state, SpareEvent.DISCARD, why=why):
            log.info("spare_given_up", spare=str(spare.id), why=why)

    async def _bury(self, spare: Spare) -> None:
        """End everything that a doomed spare has at Fly, also what was never written down, then its row."""
        cloud, app = self._parts.cloud, spare.app_name
        tags = naming.ownership(spare, env=self._parts.settings.env, deployment=self._parts.settings.deployment)
        try:
            if spare.isolation is Isolation.APP:
                await cloud.delete_app(app, network=naming.network_name(spare.id))
            else:
                machines = {machine.id for machine in await cloud.machines(app, tags)}
                for machine_id in machines | ({spare.machine_id} if spare.machine_id is not None else set()):
                    await cloud.destroy(app, machine_id)
                for volume in await cloud.volumes(app):
                    if volume.id == spare.volume_id or volume.name == naming.spare_volume_name(spare.id):
                        await cloud.delete_volume(app, volume.id)
        except CloudError as fault:
            log.warning("spare_not_buried", spare=str(spare.id), error=str(fault))
            return
        await self._spares.remove_spare(spare.id)
