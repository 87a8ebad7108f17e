"""From a record to a ready Machine: carry out what `plan` decides until the App answers."""

import structlog

from provisioner import naming
from provisioner.backoff import backoff
from provisioner.claim import personalise
from provisioner.errors import (
    CloudError,
    CloudUnreachable,
    NameTaken,
    NoCapacity,
    NotAllowed,
    NotReady,
    RateLimited,
    Refused,
    Scope,
)
from provisioner.instance import Event, Instance, Isolation, MachineId
from provisioner.parts import Parts
from provisioner.plan import Act, plan
from provisioner.ports import Lease, Machine, MachineSpec, MachineState
from provisioner.probe import Health
from provisioner.progress import Progress

log = structlog.get_logger(__name__)

HOPELESS = (NotAllowed, NameTaken)
"""Asking again will not help."""
FULL = (Scope.REGION, Scope.ORGANISATION)
"""No room that a moment could bring: the queue asks again later. A full host is another matter, Fly picks another."""
ATTEMPTS = 5
"""Tries inside one bring-up, for what a moment may heal; after that the queue takes over."""


class BringUp:
    """One bring-up of one Instance, under its lease. Cancelling it leaves a record from which the next goes on."""

    def __init__(self, parts: Parts, lease: Lease, progress: Progress, *, actor: str, answered: bool) -> None:
        """`answered`: it was ready before and fell silent; nobody put it to sleep that we know of."""
        self._may_nudge = answered
        self._parts = parts
        self._lease = lease
        self._progress = progress
        progress.attempts = ATTEMPTS
        self._actor = actor
        self._deadline = parts.clock.monotonic() + parts.settings.bring_up_within.total_seconds()
        self._silent_since: float | None = None

    async def run(self, instance: Instance, *, asleep: bool) -> Instance:
        """The Instance, ACTIVE. `asleep` says that the record already tells that a start is needed.

        Raises CloudError or NotReady when it gives up, Moved when the row was moved by somebody else.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(instance, asleep=asleep and attempt == 1)
            except CloudError as fault:
                wait = self._wait(fault, attempt)
                if wait is None:
                    raise
                log.warning("bring_up_stumbled", user_id=str(instance.user_id), attempt=attempt, error=str(fault))
                await self._parts.clock.sleep(wait)
                self._progress.again(fault.words)
                instance = await self._parts.store.record(self._lease)
        raise AssertionError("unreachable")  # pragma: no cover

    def _wait(self, fault: CloudError, attempt: int) -> float | None:
        """Seconds until the next attempt, None to give up."""
        if isinstance(fault, HOPELESS) or attempt == ATTEMPTS:
            return None
        if isinstance(fault, NoCapacity) and fault.scope in FULL:
            return None
        # A lost answer, a lease, a full host: a moment may heal it. A plain refusal only if the state moves on.
        first = 1.0 if isinstance(fault, Refused) else 0.2
        wait = backoff(attempt, first=first, cap=5.0, chance=self._parts.clock.jitter())
        if isinstance(fault, RateLimited) and fault.retry_after is not None:
            wait = max(wait, fault.retry_after)
        return wait if self._parts.clock.monotonic() + wait < self._deadline else None

    async def _attempt(self, instance: Instance, *, asleep: bool) -> Instance:
        if asleep and instance.machine_id is not None:
            await self._start(instance)  # asked at once, before we look: most Machines are just asleep
        while self._parts.clock.monotonic() < self._deadline:
            machine = await self._look(instance)
            act = plan(instance, machine)
            log.debug("bring_up", user_id=str(instance.user_id), act=act)
            match act:
                case Act.MAKE_APP:
                    instance = await self._make_app(instance)
                case Act.ASSIGN_ADDRESS:
                    instance = await self._assign_address(instance)
                case Act.MAKE_VOLUME:
                    instance = await self._make_volume(instance)
                case Act.MAKE_MACHINE:
                    instance, made = await self._make_machine(instance)
                    # It launches by itself; a start asked while its image is prepared is refused. So knock first.
                    where = _where(instance, made)
                    if where is not None and await self._answers(instance, made.id, where):
                        return await self._ready(instance, made, where)
                case Act.START:
                    if self._progress.path == "resume" and machine and machine.state is MachineState.STOPPED:
                        self._progress.path = "start"  # recorded as awake or suspended, but its memory is gone
                    await self._start(instance)
                case Act.FORGET:
                    instance = await self._parts.store.forget_machine(self._lease)
                case Act.REPLACE:
                    await self._parts.cloud.destroy(instance.app_name, _known(instance))
                    instance = await self._parts.store.forget_machine(self._lease)
                case Act.SETTLE:
                    await self._parts.clock.sleep(0.1)
                case Act.PROBE if machine is not None and (where := _where(instance, machine)) is not None:
                    if await self._answers(instance, machine.id, where):
                        return await self._ready(instance, machine, where)
                    await self._unhang(instance, machine)
                case Act.PROBE:
                    await self._parts.clock.sleep(0.1)  # Fly has not told its address yet
        raise NotReady(f"no answer within {self._parts.settings.bring_up_within}")

    async def _look(self, instance: Instance) -> Machine | None:
        if instance.machine_id is None:
            return None
        return await self._parts.cloud.machine(instance.app_name, instance.machine_id)

    async def _make_app(self, instance: Instance) -> Instance:
        network = naming.network_name(instance.id)
        app_id = await self._parts.cloud.create_app(instance.app_name, network=network)
        return await self._parts.store.record(self._lease, app_id=app_id)

    async def _assign_address(self, instance: Instance) -> Instance:
        network = self._parts.settings.gateway_network
        address = await self._parts.cloud.assign_address(instance.app_name, network=network)
        return await self._parts.store.record(self._lease, flycast_ip=address)

    async def _make_volume(self, instance: Instance) -> Instance:
        plan, name = self._parts.plans.of(instance.user_id), naming.volume_name(instance.user_id)
        # A replica may have died, or an answer been lost, between the volume and its note in our row.
        found = [
            volume
            for volume in await self._parts.cloud.volumes(instance.app_name)
            if volume.name == name and volume.attached_machine_id is None
        ]
        volume = (
            found[0]
            if found
            else await self._parts.cloud.create_volume(
                instance.app_name, name=name, region=instance.region, size_gb=plan.volume_gb, guest=plan.guest
            )
        )
        return await self._parts.store.record(
            self._lease, volume_id=volume.id, region=volume.region, volume_gb=volume.size_gb or None
        )

    async def _make_machine(self, instance: Instance) -> tuple[Instance, Machine]:
        self._progress.reach(self._progress.machine)
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
        where = _where(instance, machine)
        instance = await self._parts.store.record(
            self._lease, machine_id=machine.id, private_ip=where, guest=machine.guest or spec.guest
        )
        return instance, machine

    async def _start(self, instance: Instance) -> None:
        self._progress.reach(self._progress.machine)
        try:
            await self._parts.cloud.start(instance.app_name, _known(instance))
        except CloudUnreachable:
            raise
        except CloudError as fault:
            if not fault.sure:
                raise
            # "Not from this state", "not there", "being replaced": the next look tells what it is.
            log.info("start_refused", user_id=str(instance.user_id), error=str(fault))
            if isinstance(fault, (*HOPELESS, RateLimited)):
                raise
            await self._parts.clock.sleep(0.1)

    async def _answers(self, instance: Instance, machine_id: MachineId, private_ip: str) -> bool:
        """Knock for about a second, 10→100 ms apart; then it is time to look at the Machine again."""
        clock, endpoint = self._parts.clock, self._parts.endpoint(private_ip)
        self._progress.reach("network")
        until, pause = clock.monotonic() + 1.0, 0.01
        while clock.monotonic() < until:
            match await self._parts.probe.health(endpoint, machine_id, timeout=0.5):
                case Health.READY:
                    self._silent_since = None
                    return True
                case Health.STARTING | Health.FAILED:  # the Guard restarts a failed App with back-off
                    self._silent_since = None
                    self._progress.reach("app")
                case Health.UNCLAIMED:  # a spare whose claim was lost, or whose volume was replaced
                    self._silent_since = None
                    await personalise(self._parts, instance, private_ip)
                case Health.SILENT if self._silent_since is None:
                    self._silent_since = clock.monotonic()
                case Health.SILENT:
                    pass
            await clock.sleep(pause)
            pause = min(0.1, pause * 1.5)
        return False

    async def _unhang(self, instance: Instance, machine: Machine) -> None:
        """Fly says it runs, its Guard says nothing: first aid. The volume is untouched by either form of it.

        One that answered before is suspended and resumed first, which keeps its memory and the requests that wait in
        its sockets. What stays silent is restarted.
        """
        settings, cloud = self._parts.settings, self._parts.cloud
        silent = 0.0 if self._silent_since is None else self._parts.clock.monotonic() - self._silent_since
        if silent >= settings.hung_after.total_seconds():
            log.warning("machine_hangs", user_id=str(instance.user_id), machine_id=machine.id, aid="restart")
            await cloud.stop(instance.app_name, machine.id, signal="SIGTERM", timeout=settings.stop_grace)
            self._silent_since = None
        elif silent >= settings.frozen_after.total_seconds() and self._may_nudge:
            self._may_nudge = False
            log.warning("machine_hangs", user_id=str(instance.user_id), machine_id=machine.id, aid="resume")
            await cloud.suspend(instance.app_name, machine.id)

    async def _ready(self, instance: Instance, machine: Machine, where: str) -> Instance:
        self._progress.reach("open")
        # The address changes when Fly migrates a Machine; it is read anew after each start (facts: private_ip).
        if (where, machine.region) != (instance.private_ip, instance.region):
            await self._parts.store.record(self._lease, private_ip=where, region=machine.region)
        return await self._parts.store.move(
            instance.user_id,
            instance.state,
            Event.READY,
            actor=self._actor,
            lease=self._lease,
            detail={"path": self._progress.path, "steps": self._progress.took()},
        )


def _where(instance: Instance, machine: Machine) -> str | None:
    """Where the gateway reaches this Machine; None as long as Fly has not told."""
    return instance.flycast_ip if instance.isolation is Isolation.APP else machine.private_ip


def _known(instance: Instance) -> MachineId:
    if instance.machine_id is None:
        raise AssertionError(f"{instance.user_id} has no Machine to act on")
    return instance.machine_id
