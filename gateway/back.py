"""The back of the house put together: adapters, use cases and their loops. One half of the composition root."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog

from gateway.failpoints import watcher
from gateway.settings import BadSettings, Settings
from provisioner.awake import Awake
from provisioner.clock import Clock
from provisioner.fly.client import FlyClient
from provisioner.fly.settings import FlySettings
from provisioner.guard_keys import GuardKeys
from provisioner.images import Images
from provisioner.instance import Isolation
from provisioner.job import Outcome
from provisioner.lifecycle import Lifecycle
from provisioner.offer import BadOffer, Offer, read_offer, shipped
from provisioner.parts import LifecycleSettings, Parts, Traffic
from provisioner.plan import Patience
from provisioner.plans import Plans
from provisioner.pool import Pool
from provisioner.ports import Store
from provisioner.probe import GuardProbe
from provisioner.queue import QueueDesk, Retrier
from provisioner.reconciler import Reap, Reconciler, ReconcileSettings
from provisioner.rollout import Rollouts, follow_rollouts
from provisioner.spares import PoolSettings, Spares
from provisioner.store.changes import Announcements
from provisioner.store.database import connect
from provisioner.store.plans import SubscriptionTable
from provisioner.store.postgres import PostgresStore
from provisioner.store.rollouts import RolloutTable
from provisioner.store.sightings import SightingTable
from provisioner.store.spares import SpareTable
from provisioner.store.switches import SwitchTable
from provisioner.store.turns import TurnTable
from provisioner.subscriptions import follow, load
from provisioner.sweeper import Sweeper, SweepSettings
from provisioner.switches import Switches
from provisioner.switches import follow as follow_switches

log = structlog.get_logger(__name__)

GUARD_PORT: Final = 8080


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The outside world, connected, and what was read of it at start: what is offered, and who has which plan.

    `pool` is asyncpg's, for what has tables of its own.
    """

    pool: Any
    announced: Announcements
    store: PostgresStore
    cloud: FlyClient
    probe: GuardProbe
    subscriptions: SubscriptionTable
    spares: SpareTable
    rollouts: RolloutTable
    plans: Plans
    switch_records: SwitchTable
    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """The use cases, and `loops`: what has to run beside them as long as the gateway does, by name."""

    parts: Parts
    lifecycle: Lifecycle
    queue: QueueDesk
    pool: Pool
    awake: Awake
    reconciler: Reconciler
    rollouts: Rollouts
    loops: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]


@asynccontextmanager
async def adapters_of(settings: Settings, clock: Clock) -> AsyncIterator[Adapters]:
    """Connections to Postgres, Fly and the Guards, closed when the block is left. Raises BadSettings for bad plans."""
    offer = offer_of(settings)
    dsn = settings.database_url.get_secret_value()
    async with (
        connect(dsn, max_size=settings.database_pool) as pool,
        FlyClient.open(_fly(settings), clock, TurnTable(pool)) as cloud,
        GuardProbe.open() as probe,
    ):
        announced = Announcements(dsn, clock)
        plans, subscriptions = Plans(offer.plans), SubscriptionTable(pool, clock, announced=announced)
        await load(subscriptions, plans)
        watch = watcher(settings.failpoints)
        yield Adapters(
            pool=pool,
            announced=announced,
            store=watch("store", PostgresStore(pool, clock, announced=announced)),
            cloud=watch("cloud", cloud),
            probe=probe,
            subscriptions=subscriptions,
            spares=watch("spares", SpareTable(pool, clock)),
            rollouts=watch("rollouts", RolloutTable(pool, clock, announced=announced)),
            plans=plans,
            offer=offer,
            switch_records=SwitchTable(pool, clock, announced=announced),
        )


def offer_of(settings: Settings) -> Offer:
    """What is offered: PLANS_FILE or what is shipped, with the settings that hold for every plan.

    Raises BadSettings with every problem of the file.
    """
    try:
        text = None if settings.plans_file is None else settings.plans_file.read_text(encoding="utf-8")
        offer = shipped() if text is None else read_offer(text)
    except (OSError, UnicodeDecodeError, BadOffer) as fault:
        raise BadSettings("\n".join(f"PLANS_FILE: {line}" for line in str(fault).splitlines())) from None

    def span(seconds: float | None) -> timedelta | None:
        return None if seconds is None else timedelta(seconds=seconds)

    return offer.overridden(
        memory_mb=settings.machine_memory_mb,
        volume_gb=settings.machine_volume_gb,
        suspend_after=span(settings.suspend_after_s),
        stop_after=span(settings.stop_after_s),
        awake_cap=span(settings.awake_cap_s),
    )


@asynccontextmanager
async def back_of_house(
    settings: Settings,
    adapters: Adapters,
    clock: Clock,
    *,
    traffic: Traffic,
    replica: str,
    told: Callable[[Outcome], None],
    told_pool: Callable[[int, int], None] = lambda target, ready: None,
) -> AsyncIterator[Back]:
    """Every use case over `adapters`. Whoever enters runs the `loops`; leaving cancels the work under way."""
    switches = Switches()
    parts = Parts(
        cloud=adapters.cloud,
        store=adapters.store,
        probe=adapters.probe,
        clock=clock,
        keys=GuardKeys(settings.gateway_master_keys),
        traffic=traffic,
        settings=_lifecycle(settings),
        replica=replica,
        plans=adapters.plans,
        spares=adapters.spares,
        pool=_pool(settings),
        images=Images(settings.golden_image),
        rollouts=adapters.rollouts,
        switches=switches,
    )
    parts.images.newest = await adapters.rollouts.newest_rollout()  # before anybody is answered
    pool = Pool(parts, adapters.spares, adapters.offer.prices, told=told_pool)
    async with Lifecycle(parts, told=told) as lifecycle:
        sweeper = Sweeper(parts, lifecycle, _sweep(settings), record=adapters.store)
        reconciler = Reconciler(
            parts,
            lifecycle,
            SightingTable(adapters.pool, clock),
            _reconcile(settings),
            prices=adapters.offer.prices,
            spoken_for=partial(_spoken_for, adapters.spares, adapters.store),
        )
        rollouts = Rollouts(parts, lifecycle, adapters.rollouts)
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "sweeper": sweeper.run,
            "reconciler": reconciler.run,
            "queue": Retrier(parts, lifecycle).run,
            "pool": pool.run,
            "rollouts": rollouts.run,
            "images": partial(follow_rollouts, adapters.rollouts, parts.images, clock),
            "plans": partial(follow, adapters.subscriptions, adapters.plans, clock),
            "switches": partial(follow_switches, adapters.switch_records, switches, clock),
        }
        if parts.settings.isolation is Isolation.MACHINE:
            loops["app"] = partial(_ensure_app, adapters.cloud, settings, clock)
        yield Back(
            parts=parts,
            lifecycle=lifecycle,
            queue=QueueDesk(parts, lifecycle),
            pool=pool,
            reconciler=reconciler,
            awake=Awake(adapters.store, traffic, clock, adapters.plans.of),
            rollouts=rollouts,
            loops=loops,
        )


async def _ensure_app(cloud: FlyClient, settings: Settings, clock: Clock) -> None:
    """The app that holds the Machines, made on first start. Until it is there, provisionings wait in their queue."""
    pause = 1.0
    while True:
        try:
            return await cloud.ensure_app(settings.fly_app_name, settings.fly_org_slug)
        except Exception as fault:
            log.warning("machines_app_not_ready", app=settings.fly_app_name, error=str(fault))
        await clock.sleep(pause)
        pause = min(60.0, pause * 2)


def _fly(settings: Settings) -> FlySettings:
    return FlySettings(
        token=settings.fly_api_token.get_secret_value(),
        api_url=settings.fly_api_url,
        org_slug=settings.fly_org_slug,
        shared_app=settings.fly_app_name,
    )


def _lifecycle(settings: Settings) -> LifecycleSettings:
    return LifecycleSettings(
        env=settings.gateway_env,
        deployment=settings.deployment,
        app_name=settings.fly_app_name,
        fallback_regions=tuple(code.strip() for code in settings.fly_fallback_regions.split(",") if code.strip()),
        isolation=Isolation(settings.fly_isolation),
        gateway_network=settings.fly_gateway_network,
        queue_tries=settings.queue_tries,
        patience=Patience(host=timedelta(seconds=settings.host_dead_after_s)),
        region=settings.fly_region,
        guard_port=GUARD_PORT,
        lease_ttl=timedelta(seconds=settings.lease_s),
        machine_env={
            "SUPABASE_URL": settings.supabase_url,
            "SUPABASE_PUBLISHABLE_KEY": settings.supabase_publishable_key.get_secret_value(),
        },
    )


def _pool(settings: Settings) -> PoolSettings:
    idle = timedelta(minutes=1)  # no pool: only what is left of one goes
    return PoolSettings(
        least=settings.pool_min,
        most=settings.pool_max,
        reserved=settings.pool_reserved,
        every=PoolSettings().every if settings.pool_max else idle,
    )


async def _spoken_for(spares: Spares, store: Store) -> frozenset[str]:
    """What spares of the pool are made of and will be called, and disks that are kept for a while."""
    found = await spares.all_spares()
    kept = {volume.volume_id for volume in await store.kept_volumes()}
    ids = {str(each.id) for each in found} | {each.machine_id for each in found} | {each.volume_id for each in found}
    return frozenset(each for each in ids if each is not None) | kept


def _reconcile(settings: Settings) -> ReconcileSettings:
    return ReconcileSettings(
        every=timedelta(seconds=settings.reconcile_every_s),
        grace=timedelta(seconds=settings.reap_after_s),
        reap=Reap(settings.reap),
    )


def _sweep(settings: Settings) -> SweepSettings:
    return SweepSettings(every=timedelta(seconds=settings.sweep_every_s), per_second=settings.sleeps_per_second)
