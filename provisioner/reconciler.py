"""Looks at Fly and at the records again and again: mends what drifted, and reaps what belongs to nobody any more.

Nothing is destroyed before it was seen at least twice, over a grace, with our tags on it, and once more at the last
moment. What holds data is touched only where the operator said so.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

import structlog

from provisioner import naming, prices
from provisioner.errors import CloudError, Moved, ProvisionerError
from provisioner.instance import Instance, Isolation, MachineId, State, UserId
from provisioner.lifecycle import Lifecycle
from provisioner.parts import Parts
from provisioner.ports import MachineState
from provisioner.prices import MONTH, Prices
from provisioner.putdown import stop_machine
from provisioner.reconcile import DESTROYS_MACHINE, MENDS, Records, Sighting, What, compare

log = structlog.get_logger(__name__)

LOOK_S: Final = 5.0
"""How often a replica asks whether a round is due."""
PAGE: Final = 1000
TWICE: Final = 2
LEFT_ALONE: Final = "left alone"
DRIFT_GRACE: Final = timedelta(seconds=2)


class Reap(StrEnum):
    """What may be destroyed without being asked."""

    REPORT = "report"
    MACHINES = "machines"
    VOLUMES = "volumes"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """How often, and how bold."""

    every: timedelta = timedelta(minutes=5)
    """Between two rounds of all replicas together. Each lists the app's Machines and volumes, and reads all rows."""
    grace: timedelta = timedelta(minutes=15)
    """From the first sighting to the end. Longer than any bring-up and any deploy."""
    reap: Reap = Reap.MACHINES
    """A Machine without a row holds nothing that is not on its disk. Disks go only with VOLUMES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A sighting with its history. `outcome`: what was done, or why nothing was; None: it is watched."""

    sighting: Sighting
    usd_per_month: float
    times: int
    first_at: datetime
    last_at: datetime
    outcome: str | None = None

    @property
    def left_alone(self) -> bool:
        """Its grace is over, and nothing is done about it without somebody's word."""
        return self.outcome is not None and self.outcome.startswith(LEFT_ALONE)


class Sightings(Protocol):
    """What was seen, on record."""

    async def take_round(self, name: str, *, owner: str, every: timedelta) -> bool:
        """Whether this replica does the round now. Nobody does it again before `every` is over."""

    async def see(self, app: str, sightings: Sequence[tuple[Sighting, float]]) -> Sequence[Finding]:
        """Note what is seen now, with its cost, and forget what is not."""

    async def settle(self, sighting: Sighting, outcome: str) -> None: ...
    async def all_sightings(self, *, limit: int = 500) -> Sequence[Finding]:
        """The dearest first."""

    async def note_volumes(self, owners: Mapping[str, UUID], *, env: str, deployment: str) -> None:
        """These disks are mounted in Machines of ours, of these Instances."""

    async def proven_volumes(self, ids: Collection[str], *, env: str, deployment: str) -> Mapping[str, UUID]: ...
    async def knows_instance(self, instance_id: UUID) -> bool:
        """Whether it has a row now."""

    async def append_audit(
        self, actor: str, action: str, user_id: UserId | None, detail: Mapping[str, object] | None = None
    ) -> None: ...


SpokenFor = Callable[[], Awaitable[Collection[str]]]
"""Ids at Fly, and of Instances to be, that rows other than Instances name."""


class Reconciler:
    """For the app that holds Machines of many, or with isolation APP for the apps that hold one user each.

    Any number of replicas may run it: a round is taken by one.
    """

    def __init__(
        self,
        parts: Parts,
        lifecycle: Lifecycle,
        record: Sightings,
        settings: ReconcileSettings,
        *,
        prices: Prices,
        spoken_for: SpokenFor,
    ) -> None:
        self._parts, self._lifecycle, self._record, self._settings = parts, lifecycle, record, settings
        self._prices, self._spoken_for = prices, spoken_for

    async def run(self) -> None:
        """Until cancelled. A round that fails is logged, and made up for by the next."""
        app = self._parts.settings.app_name
        while True:
            try:
                if await self._record.take_round(
                    f"reconcile:{app}", owner=self._parts.replica, every=self._settings.every
                ):
                    await self.round()
            except CloudError as fault:
                log.warning("reconcile_stumbled", app=app, error=str(fault))
            except Exception:
                log.exception("reconcile_failed", app=app)
            await self._parts.clock.sleep(min(LOOK_S, self._settings.every.total_seconds()))

    async def findings(self) -> Sequence[Finding]:
        """What differs now, the dearest first, with what was done about it."""
        return await self._record.all_sightings()

    async def round(self) -> Sequence[Finding]:
        """Compare once, and do what is due."""
        if self._parts.settings.isolation is Isolation.APP:
            return await self._act(await self._look_at_apps())
        app = self._parts.settings.app_name
        return await self._act(await self._see(app, await self._look()))

    async def _see(self, app: str, sightings: Sequence[Sighting]) -> Sequence[Finding]:
        return await self._record.see(app, [(each, self._cost(each)) for each in sightings])

    async def _act(self, found: Sequence[Finding]) -> Sequence[Finding]:
        settings = self._settings
        for finding in found:
            if finding.times < TWICE:
                continue
            what = finding.sighting.what
            try:
                if what in MENDS:
                    await self._mend(finding)
                elif finding.last_at - finding.first_at >= settings.grace:
                    await self._reap(finding)
            except Moved as moved:
                log.debug("reconcile_let_go", resource=finding.sighting.resource, because=str(moved))
            except (CloudError, ProvisionerError) as fault:
                log.warning("reconcile_stumbled", app=finding.sighting.app, error=str(fault))
        return found

    async def _look(self) -> list[Sighting]:
        """Fly first, then the rows: what is made in between has its row by then."""
        parts, lifecycle = self._parts, self._parts.settings
        app = lifecycle.app_name
        tags = {"gateway_env": lifecycle.env, "deployment": lifecycle.deployment}
        volumes = await parts.cloud.volumes(app)
        machines = await parts.cloud.machines(app, tags)
        owners = {}
        for machine in machines:
            with suppress(ValueError):
                if machine.volume_id is not None:
                    owners[machine.volume_id] = UUID(machine.metadata.get("instance", ""))
        await self._record.note_volumes(owners, **_tags(tags))
        proven = await self._record.proven_volumes([volume.id for volume in volumes], **_tags(tags))
        records = Records(instances=await self._rows(), spoken_for=await self._spoken_for(), proven=proven)
        return compare(app, machines, volumes, records)

    async def _rows(self) -> dict[UUID, Instance]:
        instances: dict[UUID, Instance] = {}
        after: UserId | None = None
        while page := await self._parts.store.page(after=after, limit=PAGE):
            instances |= {instance.id: instance for instance in page}
            after = page[-1].user_id
        return instances

    async def _look_at_apps(self) -> list[Finding]:
        """Apps of single users whose Instance is on no record. Only those are looked into: a call each."""
        lifecycle, cloud = self._parts.settings, self._parts.cloud
        tags = {"gateway_env": lifecycle.env, "deployment": lifecycle.deployment}
        listed = await cloud.apps()
        instances, spoken_for = await self._rows(), await self._spoken_for()
        found: list[Finding] = []
        looked_at: set[str] = set()
        for app, network in listed.items():
            owner = naming.instance_of(app, network) if app.startswith(naming.app_prefix(lifecycle.env)) else None
            if owner is None or owner in instances or str(owner) in spoken_for:
                continue
            looked_at.add(app)
            machines, volumes = await cloud.machines(app, tags), await cloud.volumes(app)
            mounted = {m.volume_id: owner for m in machines if m.volume_id and m.metadata["instance"] == str(owner)}
            await self._record.note_volumes(mounted, **_tags(tags))
            proven = await self._record.proven_volumes([volume.id for volume in volumes], **_tags(tags))
            records = Records(instances=instances, spoken_for=spoken_for, proven=proven)
            ours = any(m.metadata["instance"] == str(owner) for m in machines) or owner in proven.values()
            sighting = Sighting(
                resource=app,
                what=What.ORPHAN_APP if ours else What.STRANGE_APP,
                app=app,
                size_gb=sum(volume.size_gb for volume in volumes),
                detail={"network": network, "instance": str(owner)},
            )
            found += await self._see(app, [sighting, *compare(app, machines, (), records)])
        for finding in await self._record.all_sightings():
            if finding.sighting.app not in looked_at:
                await self._see(finding.sighting.app, [])  # gone, or on record by now
        return found

    def _cost(self, sighting: Sighting) -> float:
        """Dollars a month that it costs to leave it."""
        if sighting.size_gb:
            return prices.volume(self._prices, sighting.size_gb, MONTH)
        running = MachineState.STARTED.value in (sighting.detail.get("state"), sighting.detail.get("at_fly"))
        if sighting.what in (What.GONE_MACHINE, What.GONE_VOLUME, What.ASLEEP):
            return 0.0
        guest = self._parts.plans.all()[0].guest
        return prices.awake(self._prices, guest, MONTH) if running else prices.asleep(self._prices, MONTH)

    # -- mending

    async def _mend(self, finding: Finding) -> None:
        """Bring the record to what is true, or the Machine to what is recorded. The user's disk is not touched."""
        sighting = finding.sighting
        assert sighting.user_id is not None  # noqa: S101  these come from rows
        instance = await self._parts.store.find(sighting.user_id)
        if instance is None or instance.machine_id != sighting.resource:
            return
        match sighting.what:
            case What.GONE_MACHINE:
                await self._forget(instance)
            case What.ASLEEP:
                await self._lifecycle.suspend(
                    instance.user_id, actor="reconciler", grace=DRIFT_GRACE, why="found asleep at Fly"
                )
            case _:
                await self._put_back(instance)
        log.info("reconciled", user_id=str(instance.user_id), what=sighting.what)
        await self._record.settle(sighting, "mended")

    async def _forget(self, instance: Instance) -> None:
        """Its Machine is gone: so the next visit makes one, on the same disk or from its snapshot."""
        parts = self._parts
        assert instance.machine_id is not None  # noqa: S101  checked by the caller
        if await parts.cloud.machine(instance.app_name, instance.machine_id) is not None:
            return  # a list may be late
        if instance.state in (State.ACTIVE, State.SUSPENDED):
            instance = await self._lifecycle.stop(
                instance.user_id, actor="reconciler", why="its Machine is gone at Fly"
            )
        async with parts.working_on(instance.user_id) as lease:
            found = await parts.store.find(instance.user_id)
            if lease is not None and found is not None and found.machine_id == instance.machine_id:
                await parts.store.forget_machine(lease)

    async def _put_back(self, instance: Instance) -> None:
        """It runs, and nobody asked for it: to sleep again."""
        parts = self._parts
        async with parts.working_on(instance.user_id) as lease:
            found = await parts.store.find(instance.user_id)
            if lease is None or found is None or found.state is not instance.state or found.machine_id is None:
                return
            detail = {"machine": found.machine_id, "recorded": found.state.value}
            await self._record.append_audit("reconciler", "put_back", found.user_id, detail)
            if found.state is State.SUSPENDED:
                await parts.cloud.suspend(found.app_name, found.machine_id)
            else:
                await stop_machine(parts, found.app_name, found.machine_id)

    # -- reaping

    async def _reap(self, finding: Finding) -> None:
        sighting, reap = finding.sighting, self._settings.reap
        if sighting.what in DESTROYS_MACHINE:
            if reap is Reap.REPORT:
                await self._record.settle(sighting, f"{LEFT_ALONE}: REAP is `report`")
            elif await self._still_nobodys_machine(sighting):
                await self._destroy(sighting, finding)
        elif sighting.what in (What.ORPHAN_VOLUME, What.ORPHAN_APP):
            if reap is not Reap.VOLUMES:
                await self._record.settle(sighting, f"{LEFT_ALONE}: REAP is `{reap}`")
            elif await self._still_nobodys_disk(sighting):
                await self._destroy(sighting, finding)
        else:
            await self._record.settle(sighting, f"{LEFT_ALONE}: not provably ours to touch")

    async def _destroy(self, sighting: Sighting, finding: Finding) -> None:
        detail = {**sighting.detail, "resource": sighting.resource, "what": sighting.what.value, "times": finding.times}
        # Written down before it is done: a crash leaves a row too many, never a deed without one.
        await self._record.append_audit("reconciler", "reap", sighting.user_id, detail)
        if sighting.what is What.ORPHAN_APP:
            await self._parts.cloud.delete_app(sighting.app, network=sighting.detail["network"])
        elif sighting.what is What.ORPHAN_VOLUME:
            await self._parts.cloud.delete_volume(sighting.app, sighting.resource)
        else:
            await self._parts.cloud.destroy(sighting.app, MachineId(sighting.resource))
        log.warning("orphan_destroyed", resource=sighting.resource, what=sighting.what)
        await self._record.settle(sighting, "destroyed")

    async def _still_nobodys_machine(self, sighting: Sighting) -> bool:
        """The last look, at the Machine itself and at the rows as they are now."""
        parts = self._parts
        machine = await parts.cloud.machine(sighting.app, MachineId(sighting.resource))
        tags = {
            "gateway_env": parts.settings.env,
            "deployment": parts.settings.deployment,
            "instance": sighting.detail["instance"],
        }
        if machine is None or not tags.items() <= machine.metadata.items():
            return False
        if {machine.id, tags["instance"], machine.volume_id} & set(await self._spoken_for()):
            return False
        if sighting.user_id is None:
            return not await self._record.knows_instance(UUID(tags["instance"]))
        instance = await parts.store.find(sighting.user_id)
        return instance is not None and instance.machine_id not in (None, machine.id)

    async def _still_nobodys_disk(self, sighting: Sighting) -> bool:
        if sighting.what is What.ORPHAN_APP:
            owner = sighting.detail["instance"]
            return owner not in await self._spoken_for() and not await self._record.knows_instance(UUID(owner))
        sightings = {(each.resource, each.what) for each in await self._look()}
        return (sighting.resource, sighting.what) in sightings


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {"env": tags["gateway_env"], "deployment": tags["deployment"]}
