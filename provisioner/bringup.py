"""From a record to a ready Machine: carry out what `plan` decides until the App answers."""

from datetime import timedelta
from typing import Final

import structlog

from provisioner.claim import personalise
from provisioner.errors import CloudError, CloudUnreachable, NoCapacity, NotReady, RateLimited
from provisioner.instance import Event, Instance, State
from provisioner.job import Job
from provisioner.knocking import knock
from provisioner.making import Making, known, machine_of, unasked, where_of
from provisioner.parts import Parts
from provisioner.plan import Act, plan
from provisioner.ports import Lease, Machine, MachineState
from provisioner.probe import Health
from provisioner.putdown import stop_machine
from provisioner.relief import ATTEMPTS, HOPELESS, Relief, pause, relief

THEY_FIRST_S: Final = 0.01
"""From a wake's answer to its last step: whoever waited for it has the machine first, and the database after."""
log = structlog.get_logger(__name__)


class BringUp:
    """One bring-up of one Instance, under its lease. Cancelling it leaves a record from which the next goes on."""

    def __init__(self, parts: Parts, lease: Lease, job: Job, *, actor: str, answered: bool) -> None:
        """`answered`: it was ready before and fell silent; nobody put it to sleep that we know of."""
        self._may_nudge = answered
        self._parts = parts
        self._lease = lease
        self._job = job
        self._progress = job.progress
        self._progress.attempts = ATTEMPTS
        self._actor = actor
        self._deadline = parts.clock.monotonic() + parts.settings.bring_up_within.total_seconds()
        self._silent_since: float | None = None
        self._making = Making(parts, lease)
        self._tried: set[str] = set()

    async def run(self, instance: Instance, *, asleep: bool) -> Instance:
        """The Instance, ACTIVE. `asleep` says that the record already tells that a start is needed.

        Raises CloudError or NotReady when it gives up, Moved when the row was moved by somebody else.
        """
        remedy = Relief.AGAIN
        for attempt in range(1, ATTEMPTS + 1):
            try:
                instance = await self._relieve(instance, remedy)
                return await self._attempt(instance, asleep=asleep and attempt == 1)
            except CloudError as fault:
                instance = await self._parts.store.record(self._lease)
                remedy = relief(
                    fault,
                    attempt,
                    provisioning=instance.state is State.PROVISIONING,
                    regions_left=bool(self._untried(instance)),
                )
                wait = pause(fault, attempt, chance=self._parts.clock.jitter()) if remedy is Relief.AGAIN else 0.0
                if remedy is Relief.GIVE_UP or self._parts.clock.monotonic() + wait >= self._deadline:
                    raise
                log.warning(
                    "bring_up_stumbled",
                    user_id=str(instance.user_id),
                    attempt=attempt,
                    relief=remedy,
                    error=str(fault),
                )
                await self._parts.clock.sleep(wait)
                self._progress.again(fault.words)
        raise AssertionError("unreachable")  # pragma: no cover

    async def _relieve(self, instance: Instance, remedy: Relief) -> Instance:
        """What the failure before calls for, before the next attempt."""
        match remedy:
            case Relief.ANOTHER_REGION:
                region = self._untried(instance)[0]
                self._tried.add(region)
                return await self._making.start_over(instance, region)
            case Relief.START_OVER:
                return await self._making.start_over(instance, instance.region)
            case Relief.ANOTHER_HOST:
                return await self._making.another_host(instance, lost=False)
            case _:
                return instance

    def _untried(self, instance: Instance) -> list[str]:
        """Regions that may be tried next, in the order of preference."""
        self._tried.add(instance.region)
        settings = self._parts.settings
        return [region for region in (settings.region, *settings.fallback_regions) if region not in self._tried]

    async def _attempt(self, instance: Instance, *, asleep: bool) -> Instance:
        if asleep and instance.machine_id is not None:
            up = await self._resume(instance)
            if up is not None:
                return up
        while self._parts.clock.monotonic() < self._deadline:
            machine = await machine_of(self._parts, instance)
            instance = await self._note_host(instance, machine)
            act = plan(instance, machine, self._parts.clock.now(), self._parts.settings.patience)
            log.debug("bring_up", user_id=str(instance.user_id), act=act)
            match act:
                case Act.MAKE_APP:
                    instance = await self._making.app(instance)
                case Act.ASSIGN_ADDRESS:
                    instance = await self._making.address(instance)
                case Act.MAKE_VOLUME:
                    instance = await self._making.volume(instance)
                case Act.MAKE_MACHINE:
                    self._progress.reach(self._progress.machine)
                    instance, made = await self._making.machine(instance)
                    # It launches by itself; a start asked while its image is prepared is refused. So knock first.
                    where = where_of(instance, made)
                    if where is not None and await self._answers(instance, made, where):
                        return await self._ready(instance, made, where)
                case Act.START:
                    if self._progress.path == "resume" and machine and machine.state is MachineState.STOPPED:
                        self._progress.path = "start"  # recorded as awake or suspended, but its memory is gone
                    await self._start(instance)
                case Act.FORGET:
                    instance = await self._parts.store.forget_machine(self._lease)
                case Act.REPLACE:
                    instance = await self._making.end_machine(instance)
                case Act.SETTLE:
                    await self._parts.clock.sleep(0.1)
                case Act.PROBE | Act.MOVE_AWAY if machine and (where := where_of(instance, machine)):
                    if await self._answers(instance, machine, where):
                        return await self._ready(instance, machine, where)
                    if act is Act.MOVE_AWAY:
                        instance = await self._making.another_host(instance, lost=True)
                    else:
                        await self._unhang(instance, machine)
                case Act.MOVE_AWAY:
                    instance = await self._making.another_host(instance, lost=True)
                case Act.PROBE:
                    await self._parts.clock.sleep(0.1)  # Fly has not told its address yet
                case _:
                    break
        raise NotReady(f"no answer within {self._parts.settings.bring_up_within}")

    async def _note_host(self, instance: Instance, machine: Machine | None) -> Instance:
        """Write down since when its host is out of reach, so that whoever comes later knows too."""
        down = machine is not None and not machine.host_ok
        if down == (instance.host_down_since is not None):
            return instance
        since = self._parts.clock.now() if down else None
        return await self._parts.store.note_host(self._lease, down_since=since)

    async def _resume(self, instance: Instance) -> Instance | None:
        """Start it before we look: most are just asleep, and answer where they did before, as an address changes
        only in a boot. Those are ACTIVE without a look; None for all others.
        """
        resumes = await self._start(instance)
        if not resumes or instance.host_down_since is not None:
            return None
        machine = unasked(instance)
        where = where_of(instance, machine)
        if where is None or not await self._answers(instance, machine, where):
            return None
        return await self._ready(instance, machine, where)

    async def _start(self, instance: Instance) -> bool:
        """Whether it comes up where it slept; else a look has to tell."""
        self._progress.reach(self._progress.machine)
        try:
            return await self._parts.cloud.start(instance.app_name, known(instance))
        except CloudUnreachable:
            raise
        except CloudError as fault:
            if not fault.sure:
                raise
            # "Not from this state", "not there", "being replaced": the next look tells what it is.
            log.info("start_refused", user_id=str(instance.user_id), error=str(fault))
            if isinstance(fault, (*HOPELESS, RateLimited, NoCapacity)):
                raise
            await self._parts.clock.sleep(0.1)
            return False

    async def _answers(self, instance: Instance, machine: Machine, where: str) -> bool:
        """Knock for about a second; then it is time to look at the Machine again."""
        self._progress.reach("network")

        async def heard(health: Health | None) -> bool:
            if health is Health.SILENT:
                if self._silent_since is None:
                    self._silent_since = self._parts.clock.monotonic()
                return False
            self._silent_since = None
            if health is Health.UNCLAIMED:  # a spare whose claim was lost, or whose volume was replaced
                await personalise(self._parts, instance, where)
            elif health in (Health.STARTING, Health.FAILED):  # the Guard restarts a failed App with back-off
                self._progress.reach("app")
            return health is Health.READY

        return await knock(self._parts, instance, machine, where, within=timedelta(seconds=1), heard=heard)

    async def _unhang(self, instance: Instance, machine: Machine) -> None:
        """Fly says it runs, its Guard says nothing: first aid. The volume is untouched by either form of it.

        One that answered before is suspended and resumed first, which keeps its memory and the requests that wait in
        its sockets. What stays silent is restarted.
        """
        settings = self._parts.settings
        silent = 0.0 if self._silent_since is None else self._parts.clock.monotonic() - self._silent_since
        if silent >= settings.hung_after.total_seconds():
            log.warning("machine_hangs", user_id=str(instance.user_id), machine_id=machine.id, aid="restart")
            await stop_machine(self._parts, instance.app_name, machine.id)
            self._silent_since = None
        elif silent >= settings.frozen_after.total_seconds() and self._may_nudge:
            self._may_nudge = False
            log.warning("machine_hangs", user_id=str(instance.user_id), machine_id=machine.id, aid="resume")
            await self._parts.cloud.suspend(instance.app_name, machine.id)

    async def _ready(self, instance: Instance, machine: Machine, where: str) -> Instance:
        self._progress.reach("open")
        # The address changes when Fly migrates a Machine: whoever looked at it may have found another one.
        if (where, machine.region) != (instance.private_ip, instance.region):
            await self._parts.store.record(self._lease, private_ip=where, region=machine.region)
        elif instance.state is State.WAKING:
            # All of the row is true but its state, which nobody else may touch: whoever waits goes in first.
            self._job.answer(instance)
            await self._parts.clock.sleep(THEY_FIRST_S)
        return await self._parts.store.move(
            instance.user_id,
            instance.state,
            Event.READY,
            actor=self._actor,
            lease=self._lease,
            detail={"path": self._progress.path, "steps": self._progress.took()},
        )
