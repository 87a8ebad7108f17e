"""What every use case of the provisioner works with, handed in once by the composition root."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from provisioner.clock import Clock
from provisioner.guard_keys import GuardKeys
from provisioner.images import Images, RolloutStore
from provisioner.instance import ASLEEP, Endpoint, Instance, Isolation, State, UserId
from provisioner.leases import keep
from provisioner.naming import VOLUME_PATH
from provisioner.offer import shipped_plans
from provisioner.plan import USUAL, Patience
from provisioner.plans import FREE, Plans
from provisioner.ports import Cloud, Lease, Store
from provisioner.probe import Probe, endpoint_of
from provisioner.spares import Model, PoolSettings, Spares
from provisioner.switches import Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleSettings:
    """How Instances are made and how long their phases may take."""

    env: str
    """Which of our environments this is ("production", "staging", "dev"); part of names and ownership tags."""
    deployment: str
    """Which installation owns the Machines; nothing without this tag is ever touched."""
    app_name: str
    """The Fly app that holds the Machines of all who are not isolated by app."""
    region: str
    fallback_regions: tuple[str, ...] = ()
    """Where a new Instance is made when `region` has no room, in this order."""
    isolation: Isolation = Isolation.MACHINE
    """How new Instances are made; those that exist stay as they are."""
    gateway_network: str = ""
    """The private network that the gateway is in, "" for the organisation's default: Flycast addresses lead there."""
    guard_port: int = 8080
    machine_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment of every Machine, beside what names its user."""
    bring_up_within: timedelta = timedelta(minutes=2)
    """After this long a provisioning is queued for another attempt, and a wake is given up."""
    patience: Patience = USUAL
    """How long an Instance may stay on its way, whoever works on it."""
    queue_tries: int = 10
    """Provisionings that fail before an Instance is given up until somebody asks again."""
    sleep_within: timedelta = timedelta(seconds=60)
    """How long Fly may take to suspend or stop (its suspends have been seen to take over 15 s)."""
    frozen_after: timedelta = timedelta(seconds=2)
    """Silence of a Guard that answered before, while Fly calls its Machine started, before first aid."""
    hung_after: timedelta = timedelta(seconds=20)
    """Silence of a Guard whose Machine Fly calls started, before the Machine is restarted. Its boot takes about 1 s."""
    stop_grace: timedelta = timedelta(seconds=10)
    """From SIGTERM to SIGKILL inside the Machine."""
    lease_ttl: timedelta = timedelta(seconds=15)
    """How long the work of a dead replica lies still. Shorter means more renewals."""


class Traffic(Protocol):
    """What the proxy side can tell about, and do to, the open exchanges of one user on this replica."""

    def busy(self, user_id: UserId) -> bool:
        """True while a request of theirs waits for its answer: a Machine is never put to sleep under it."""

    def working(self, user_id: UserId) -> str | None:
        """Work that their Machine has us do for it, such as "an LLM call"; None without any."""

    def last_touch(self, user_id: UserId) -> datetime | None:
        """Their latest activity here that may not be in the record yet."""

    async def end(self, instance: Instance) -> None:
        """Close their streams (1001 to WebSockets) and drop pooled connections: the Machine goes to sleep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The adapters and settings of the use cases. `replica` names this process as an owner of leases."""

    cloud: Cloud
    store: Store
    probe: Probe
    clock: Clock
    keys: GuardKeys
    traffic: Traffic
    settings: LifecycleSettings
    replica: str
    plans: Plans = field(default_factory=shipped_plans)
    switches: Switches = field(default_factory=Switches)
    spares: Spares | None = None
    """The pool; None: there is none, and every first visit makes a Machine."""
    pool: PoolSettings = field(default_factory=PoolSettings)
    images: Images
    """Which image everybody should run."""
    rollouts: RolloutStore

    @property
    def model(self) -> Model:
        """What a spare should be: of the image and region of new Machines, and of the size of the free plan."""
        plan = self.plans.named(FREE)
        return Model(
            isolation=self.settings.isolation,
            region=self.settings.region,
            image=self.images.base,
            guest=plan.guest,
            volume_gb=plan.volume_gb,
        )

    def environment(self, instance: Instance) -> dict[str, str]:
        """What the App of this user gets beyond what every App gets; who they are, its Guard adds by itself."""
        return {"USER_ID": str(instance.user_id), "USER_EMAIL": instance.email}

    def common_environment(self) -> dict[str, str]:
        """What every App gets."""
        return {**self.settings.machine_env, "INSTANCE_TYPE": "user", "DATA_DIR": VOLUME_PATH}

    def endpoint(self, private_ip: str) -> Endpoint:
        """Where the Guard of a Machine with this address listens."""
        return endpoint_of(private_ip, guard_port=self.settings.guard_port)

    @asynccontextmanager
    async def working_on(self, user_id: UserId) -> AsyncIterator[Lease | None]:
        """The lease on one Instance, renewed until the block ends; None if another replica has it.

        Raises Moved out of the block when the lease was lost in the middle of it.
        """
        ttl = self.settings.lease_ttl
        lease = await self.store.acquire(user_id, owner=self.replica, ttl=ttl)
        if lease is None:
            yield None
            return
        async with keep(self.store, self.clock, lease, ttl):
            yield lease

    @asynccontextmanager
    async def setting_out(
        self, user_id: UserId, state: State, *, actor: str
    ) -> AsyncIterator[tuple[Lease | None, Instance | None]]:
        """As `working_on`, for bringing it up from `state`. If that is a sleep, its step WAKE is taken with the lease:
        the row after it, None if it did not sleep, or not like that any more.
        """
        if state not in ASLEEP:
            async with self.working_on(user_id) as lease:
                yield lease, None
            return
        ttl = self.settings.lease_ttl
        lease, woken = await self.store.wake(user_id, state, owner=self.replica, ttl=ttl, actor=actor)
        if lease is None:
            yield None, None
            return
        async with keep(self.store, self.clock, lease, ttl):
            yield lease, woken
