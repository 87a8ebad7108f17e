"""Making what an Instance is made of at Fly, each thing once, and its id written down as soon as it is known."""

from collections.abc import Sequence

import structlog

from provisioner import naming
from provisioner.errors import HostLost
from provisioner.instance import Instance, Isolation, MachineId, State
from provisioner.parts import Parts
from provisioner.ports import Lease, Machine, MachineSpec, MachineState, Volume, VolumeSource

log = structlog.get_logger(__name__)


class Making:
    """One Instance's things, under its lease. Every act may be repeated: what was made unheard is found."""

    def __init__(self, parts: Parts, lease: Lease) -> None:
        self._parts = parts
        self._lease = lease

    async def app(self, instance: Instance) -> Instance:
        network = naming.network_name(instance.id)
        app_id = await self._parts.cloud.create_app(instance.app_name, network=network)
        return await self._parts.store.record(self._lease, app_id=app_id)

    async def address(self, instance: Instance) -> Instance:
        network = self._parts.settings.gateway_network
        address = await self._parts.cloud.assign_address(instance.app_name, network=network)
        return await self._parts.store.record(self._lease, flycast_ip=address)

    async def volume(self, instance: Instance) -> Instance:
        """The volume of one that never was ready."""
        # A replica may have died, or an answer been lost, between the volume and its note in our row; or, where the
        # region was given up, between the row and the end of the volume there.
        found = [volume for volume in await self._volumes(instance) if volume.attached_machine_id is None]
        here = next((volume for volume in found if volume.region == instance.region), None)
        for left in found:
            if left.region != instance.region:
                await self._parts.cloud.delete_volume(instance.app_name, left.id)
        volume = here or await self._new_volume(instance)
        return await self._parts.store.record(
            self._lease, volume_id=volume.id, region=volume.region, volume_gb=volume.size_gb or None
        )

    async def machine(self, instance: Instance) -> tuple[Instance, Machine]:
        """The row, and the Machine as Fly described it when it was made or found."""
        settings = self._parts.settings
        assert instance.volume_id is not None  # noqa: S101  plan() makes the volume first
        spec = MachineSpec(
            name=instance.machine_name,
            region=instance.region,
            image=instance.image,
            guest=self._parts.plans.of(instance.user_id).guest,
            volume_id=instance.volume_id,
            env={
                **self._parts.common_environment(),
                **self._parts.environment(instance),
                "JARVIS_GUARD_KEYS": self._parts.keys.for_machine(instance.id),
            },
            metadata=naming.ownership(instance, env=settings.env, deployment=settings.deployment),
            service_port=settings.guard_port if instance.isolation is Isolation.APP else None,
        )
        machine = await self._parts.cloud.create_machine(instance.app_name, spec)
        if instance.state is not State.PROVISIONING:  # a move to another host may have died before it was recorded
            await self._drop_copies(instance, await self._volumes(instance))
        where = where_of(instance, machine)
        instance = await self._parts.store.record(
            self._lease, machine_id=machine.id, private_ip=where, guest=machine.guest or spec.guest
        )
        return instance, machine

    async def end_machine(self, instance: Instance) -> Instance:
        """End the Machine for good; its volume stays."""
        if instance.machine_id is not None:
            await self._parts.cloud.destroy(instance.app_name, instance.machine_id)
        return await self._parts.store.forget_machine(self._lease)

    async def another_host(self, instance: Instance, *, lost: bool) -> Instance:
        """The user's data on a volume elsewhere, the old volume kept, and no Machine.

        A host that is only full is forked from, so nothing is lost; from one that is `lost` the latest snapshot is
        restored. The new volume comes first, while the old one is still what is recorded; then the Machine ends, so
        that there are never two; then the row changes. Raises HostLost if there is no snapshot: then nothing changed.
        """
        cloud, old = self._parts.cloud, instance.volume_id
        assert old is not None  # noqa: S101  what has no volume is bound to no host
        source = VolumeSource(volume_id=old)
        if lost:
            snapshot = await cloud.latest_snapshot(instance.app_name, old)
            if snapshot is None:
                raise HostLost(f"the host of {old} is out of reach, and it has no snapshot")
            source = VolumeSource(snapshot_id=snapshot)
        theirs = await self._volumes(instance)
        await self._drop_copies(instance, theirs)
        size_gb = max((volume.size_gb for volume in theirs if volume.id == old), default=0)
        new = await self._new_volume(instance, source, least_gb=size_gb)
        if instance.machine_id is not None:
            await cloud.destroy(instance.app_name, instance.machine_id)
        reason = "host lost: restored from its snapshot" if lost else "host full: forked"
        log.warning("moved_away", user_id=str(instance.user_id), volume_id=old, to=new.id, reason=reason)
        return await self._parts.store.exchange_volume(self._lease, volume_id=new.id, region=new.region, reason=reason)

    async def start_over(self, instance: Instance, region: str) -> Instance:
        """Of one that never was ready: no Machine, no volume, and `region` for the next ones.

        The row lets go of the volume before it ends, so that no death in between leaves a row that names what is gone.
        """
        if instance.machine_id is not None:
            instance = await self.end_machine(instance)
        volumes = await self._volumes(instance)
        instance = await self._parts.store.drop_volume(self._lease, region=region)
        for volume in volumes:
            await self._parts.cloud.delete_volume(instance.app_name, volume.id)
        return instance

    async def _drop_copies(self, instance: Instance, theirs: Sequence[Volume]) -> None:
        """End what an earlier move left behind unrecorded: the data may have changed since, so it is no use."""
        kept = {volume.volume_id for volume in await self._parts.store.kept_volumes(instance.user_id)}
        for copy in theirs:
            if copy.id != instance.volume_id and copy.id not in kept and copy.attached_machine_id is None:
                await self._parts.cloud.delete_volume(instance.app_name, copy.id)

    async def _new_volume(self, instance: Instance, source: VolumeSource | None = None, *, least_gb: int = 0) -> Volume:
        plan = self._parts.plans.of(instance.user_id)
        return await self._parts.cloud.create_volume(
            instance.app_name,
            name=naming.volume_name(instance.user_id),
            region=instance.region,
            size_gb=max(plan.volume_gb, least_gb),
            guest=plan.guest,
            source=source,
        )

    async def _volumes(self, instance: Instance) -> list[Volume]:
        """All that carry their name, and the one that is recorded: it may have been a spare's."""
        name = naming.volume_name(instance.user_id)
        listed = await self._parts.cloud.volumes(instance.app_name)
        return [volume for volume in listed if volume.name == name or volume.id == instance.volume_id]


def where_of(instance: Instance, machine: Machine) -> str | None:
    """Where the gateway reaches this Machine; None as long as Fly has not told."""
    return instance.flycast_ip if instance.isolation is Isolation.APP else machine.private_ip


def unasked(instance: Instance) -> Machine:
    """Its Machine as far as the record tells, Fly having been told to start it and not asked since."""
    return Machine(
        id=known(instance),
        name=instance.machine_name,
        state=MachineState.UNKNOWN,
        region=instance.region,
        version="",
        private_ip=instance.private_ip,
        volume_id=instance.volume_id,
        image=instance.image,
        metadata={},
        host_ok=True,
    )


async def machine_of(parts: Parts, instance: Instance) -> Machine | None:
    """Its Machine as Fly shows it now; None if it has none, or if there is no such thing any more."""
    if instance.machine_id is None:
        return None
    return await parts.cloud.machine(instance.app_name, instance.machine_id)


def known(instance: Instance) -> MachineId:
    """The Machine's id, of one that has it."""
    if instance.machine_id is None:
        raise AssertionError(f"{instance.user_id} has no Machine to act on")
    return instance.machine_id
