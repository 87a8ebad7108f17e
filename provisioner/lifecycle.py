"""The life of Instances as commands: make ready, put to sleep, delete. One piece of work per Instance at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Literal, Self
from uuid import uuid4

import structlog

from provisioner import naming
from provisioner.arrival import Arrival, words_for
from provisioner.claim import claim
from provisioner.clock import before
from provisioner.errors import BeingDeleted, Moved, ProvisionerError, WakeExpired
from provisioner.instance import Event, Instance, Isolation, State, UserId
from provisioner.job import Job, Outcome
from provisioner.operators import is_operator
from provisioner.parts import Parts
from provisioner.progress import PROVISION, Progress
from provisioner.putdown import Objection, PutDown, nothing_to_say
from provisioner.refit import fit_of, refit
from provisioner.switches import Switch
from provisioner.tasks import Tasks

log = structlog.get_logger(__name__)

NO_GRACE: Final = timedelta(0)
LOOK_AGAIN_S: Final = 0.25
"""How often we look whether another replica has finished the work that it holds the lease for."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who wants an Instance: a verified user."""

    user_id: UserId
    email: str


def _whatever(_: Instance) -> bool:
    return True


class Lifecycle:
    """Commands on Instances. `async with` owns all work begun here: leaving the block cancels it, and the
    record lets another replica, or the next start of this one, go on."""

    def __init__(self, parts: Parts, *, told: Callable[[Outcome], None] = lambda _: None) -> None:
        """`told` hears of every bring-up that ended, for counting; it must not raise."""
        self._parts = parts
        self._told = told
        self._jobs: dict[UserId, Job] = {}
        self._sleepers: dict[UserId, asyncio.Task[Instance]] = {}
        self._work = Tasks()

    async def __aenter__(self) -> Self:
        await self._work.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._work.__aexit__(kind, fault, trace)

    def job(self, user_id: UserId) -> Job | None:
        """The bring-up that runs here for this user, if one does."""
        return self._jobs.get(user_id)

    def begin(
        self,
        visitor: Visitor,
        *,
        actor: str = "visit",
        doubt: bool = False,
        force: bool = False,
        asleep: State | None = None,
    ) -> Job:
        """The bring-up of this user's Instance, begun now or joined.

        `doubt` says that the Instance was recorded as ready but did not answer: look at the Machine itself.
        `force` does not wait for the queue's next attempt. `asleep`: how it slept a moment ago, where that is known:
        then its row need not be read first.
        """
        before = self._jobs.get(visitor.user_id)
        if before is not None and not before.outcome.done():
            return before
        job = self._jobs[visitor.user_id] = Job(Progress("provision", PROVISION, self._parts.clock))
        began = self._parts.clock.monotonic()
        job.outcome.add_done_callback(lambda _: self._count(visitor, job, self._parts.clock.monotonic() - began))
        work = self._run(visitor, job, actor, after=before, doubt=doubt, force=force, asleep=asleep)
        self._work.begin(work, name=f"bring-up:{visitor.user_id}")
        return job

    async def ensure_ready(
        self, visitor: Visitor, *, deadline: float, actor: str = "visit", doubt: bool = False, force: bool = False
    ) -> Instance:
        """The visitor's Instance, ACTIVE, provisioned or woken first if needed.

        Concurrent calls for one user share one bring-up. Cancelling a call leaves it running: others may wait for it.
        `deadline` is a `clock.monotonic()` instant, in seconds. Other arguments as in `begin`.

        Raises:
            WakeExpired: not ready by `deadline`; the work goes on, so asking again may succeed.
            ProvisioningFailed: it waits in the queue, with the cause and the time of the next attempt.
            NotReady, CloudError: the wake was given up; asking again tries anew.
            BeingDeleted: the user's Instance is being deleted.
        """
        job = self.begin(visitor, actor=actor, doubt=doubt, force=force)
        if not await before(self._parts.clock, deadline, job.outcome):
            raise WakeExpired(f"{visitor.user_id} is not ready yet")
        return job.outcome.result()

    async def suspend(
        self,
        user_id: UserId,
        *,
        actor: str,
        grace: timedelta = NO_GRACE,
        why: str = "asked for",
        still: Callable[[Instance], bool] = _whatever,
        objection: Objection = nothing_to_say,
    ) -> Instance:
        """Put it to sleep keeping its memory; stopped instead where the platform cannot. Raises as `stop`.

        `objection` is asked when the grace is over: whether something speaks against it by then.
        """
        return await self._sleep(
            user_id, State.SUSPENDED, actor=actor, grace=grace, why=why, still=still, objection=objection
        )

    async def stop(
        self,
        user_id: UserId,
        *,
        actor: str,
        grace: timedelta = NO_GRACE,
        why: str = "asked for",
        still: Callable[[Instance], bool] = _whatever,
    ) -> Instance:
        """Put it to sleep without its memory. `still` has the last word, under the lease, about the row as it is then.

        An Instance that sleeps deeply enough already is returned as it is. Raises Moved when it woke up meanwhile,
        when another replica works on it, or when there is no Instance; CloudError when Fly fails.
        """
        return await self._sleep(user_id, State.STOPPED, actor=actor, grace=grace, why=why, still=still)

    async def refit(self, user_id: UserId, *, actor: str) -> Instance:
        """Change its STOPPED Machine if it does not fit plan or rollout; see `provisioner.fit`.

        Raises Moved when it is not STOPPED or worked on by somebody else, CloudError when Fly fails.
        """
        await self._closed(user_id)
        if user_id in self._sleepers or user_id in self._jobs:
            raise Moved(f"{user_id} is being worked on")
        async with self._parts.working_on(user_id) as lease:
            instance = await self._parts.store.find(user_id)
            if lease is None or instance is None or instance.state is not State.STOPPED:
                raise Moved(f"{user_id} is not at rest")
            return await refit(self._parts, lease, instance, fit_of(self._parts, instance), actor=actor)

    async def destroy(self, user_id: UserId, *, actor: str) -> None:
        """End its Machine, its volume and its row. Idempotent. Raises Moved while another replica works on it."""
        await self._closed(user_id)
        await self._end_sleeper(user_id)
        async with self._parts.working_on(user_id) as lease:
            instance = await self._parts.store.find(user_id)
            if instance is None:
                return
            if lease is None:
                raise Moved(f"another replica works on {user_id}")
            await PutDown(self._parts, lease, actor=actor).destroy(instance)
        log.info("instance_destroyed", user_id=str(user_id), actor=actor)

    async def recover(self, instance: Instance) -> None:
        """Go on with work that a replica left unfinished. Raises like the command it goes on with."""
        match instance.state:
            case State.PROVISIONING | State.WAKING:
                self.begin(Visitor(instance.user_id, instance.email), actor="recovery")
            case State.DRAINING:
                # Nobody was told to sleep yet; whether it is still quiet is the sweeper's to judge anew.
                await self._parts.store.move(instance.user_id, State.DRAINING, Event.HIT, actor="recovery")
            case State.SUSPENDING | State.STOPPING:
                async with self._parts.working_on(instance.user_id) as lease:
                    if lease is not None:
                        await PutDown(self._parts, lease, actor="recovery").finish(instance)
            case State.DELETING:
                await self.destroy(instance.user_id, actor="recovery")
            case _:
                pass

    # -- bringing up ---------------------------------------------------------------------------------------------

    async def _run(
        self,
        visitor: Visitor,
        job: Job,
        actor: str,
        *,
        after: Job | None,
        doubt: bool,
        force: bool,
        asleep: State | None,
    ) -> None:
        """Settle `job`, whatever happens: its outcome is all that anybody looks at."""
        who = str(visitor.user_id)
        try:
            if after is not None:
                await after.over.wait()
            job.succeed(await self._bring(visitor, job, actor, doubt=doubt, force=force, asleep=asleep))
        except asyncio.CancelledError:
            job.cancel()
            raise
        except Exception as fault:
            if job.outcome.done():  # it is served: only the note of how, or a lease that expires, was lost
                log.warning("bring_up_not_closed", user_id=who, actor=actor, error=repr(fault))
            elif isinstance(fault, ProvisionerError):
                log.warning("not_ready", user_id=who, actor=actor, error=f"{type(fault).__name__}: {fault}")
                job.fail(fault, words_for(fault))
            else:  # the store is away, or a bug: the waiting users must hear of it
                log.exception("bring_up_broke", user_id=who)
                job.fail(fault, "Something went wrong on our side.")
        finally:
            if self._jobs.get(visitor.user_id) is job:
                del self._jobs[visitor.user_id]
            job.over.set()

    def _count(self, visitor: Visitor, job: Job, took: float) -> None:
        if job.outcome.cancelled():
            return
        path, failed = job.progress.path, job.outcome.exception()
        if failed is None:
            log.info("instance_ready", user_id=str(visitor.user_id), path=path, took_s=round(took, 3))
        self._told(Outcome(path, took, None if failed is None else type(failed).__name__))

    async def _closed(self, user_id: UserId) -> None:
        """Return when a bring-up whose user is in already has given back its lease too."""
        job = self._jobs.get(user_id)
        if job is not None and job.answers.done():
            await job.over.wait()

    async def _bring(
        self, visitor: Visitor, job: Job, actor: str, *, doubt: bool, force: bool, asleep: State | None
    ) -> Instance:
        parts, user_id = self._parts, visitor.user_id
        await self._end_sleeper(user_id)
        if asleep is not None:  # whether it still is, its first step finds out
            arrived = await self._set_out(user_id, asleep, job, actor, doubt=doubt, force=force)
            if arrived is not None:
                return arrived
        instance = await parts.store.find(user_id) or await self._create(visitor, actor)
        while True:
            if instance.state is State.DRAINING:
                # No lease: the sweeper holds it, and this one step is how a hit tells it to let go.
                arrived = await self._hit(instance, actor)
            elif instance.state is State.ACTIVE and not doubt:
                arrived = instance
            elif instance.state is State.DELETING:
                raise BeingDeleted(f"{user_id} is being deleted")
            else:
                arrived = await self._set_out(user_id, instance.state, job, actor, doubt=doubt, force=force)
            if arrived is not None:
                return arrived
            await parts.clock.sleep(LOOK_AGAIN_S)
            found = await parts.store.find(user_id)
            if found is None:
                raise BeingDeleted(f"{user_id} was deleted")
            instance = found

    async def _set_out(
        self, user_id: UserId, state: State, job: Job, actor: str, *, doubt: bool, force: bool
    ) -> Instance | None:
        """Bring it up from `state`, or from wherever it is by then; None if another replica has its lease."""
        async with self._parts.setting_out(user_id, state, actor=actor) as (lease, woken):
            if lease is None:
                return None
            arrival = Arrival(self._parts, lease, job, actor=actor)
            if woken is None:
                arrived = await arrival.arrive(doubt=doubt, force=force)
            else:
                arrived = await arrival.wake(woken, memory=state is State.SUSPENDED)
            job.succeed(arrived)
            await arrival.write_down()
            return arrived

    async def _create(self, visitor: Visitor, actor: str) -> Instance:
        """The row, with every name that anything of it will have at Fly, before Fly is asked for anything; or the row
        on a spare that was made ahead."""
        held_back = self._parts.switches.on(Switch.PAUSE_PROVISIONING) and not is_operator(actor)
        claimed = None if held_back else await claim(self._parts, visitor.user_id, visitor.email, actor=actor)
        if claimed is not None:
            return claimed
        settings, id = self._parts.settings, uuid4()
        own_app = naming.app_name(settings.env, visitor.user_id, id)
        return await self._parts.store.create(
            visitor.user_id,
            id=id,
            email=visitor.email,
            isolation=settings.isolation,
            app_name=own_app if settings.isolation is Isolation.APP else settings.app_name,
            machine_name=naming.machine_name(settings.env, visitor.user_id),
            region=settings.region,
            image=self._parts.images.base,
            actor=actor,
        )

    async def _hit(self, instance: Instance, actor: str) -> Instance | None:
        try:
            return await self._parts.store.move(instance.user_id, State.DRAINING, Event.HIT, actor=actor)
        except Moved:
            return None

    # -- putting down --------------------------------------------------------------------------------------------

    async def _sleep(
        self,
        user_id: UserId,
        goal: Literal[State.SUSPENDED, State.STOPPED],
        *,
        actor: str,
        grace: timedelta,
        why: str,
        still: Callable[[Instance], bool],
        objection: Objection = nothing_to_say,
    ) -> Instance:
        await self._closed(user_id)
        if user_id in self._sleepers or user_id in self._jobs:
            raise Moved(f"{user_id} is being worked on")

        async def put_down() -> Instance:
            async with self._parts.working_on(user_id) as lease:
                instance = await self._parts.store.find(user_id)
                if instance is None or lease is None:
                    raise Moved(f"{user_id} has no Instance" if lease else f"another replica works on {user_id}")
                if not still(instance):
                    raise Moved(f"the Instance of {user_id} is not what it was judged to be")
                put_down = PutDown(self._parts, lease, actor=actor)
                return await put_down.sleep(instance, goal, grace=grace, why=why, objection=objection)

        def over(task: asyncio.Task[Instance]) -> None:
            del self._sleepers[user_id]  # not in the task itself: one that is cancelled at once never runs
            if not task.cancelled():
                task.exception()  # heard, even if whoever asked has left

        task = self._sleepers[user_id] = self._work.begin(put_down(), name=f"put-down:{user_id}")
        task.add_done_callback(over)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # a visitor came while it went to sleep
                raise Moved(f"{user_id} was woken again") from None
            raise

    async def _end_sleeper(self, user_id: UserId) -> None:
        """A visitor is here: whoever puts this Instance to sleep stops where they are; the record says where."""
        sleeper = self._sleepers.get(user_id)
        if sleeper is not None:
            sleeper.cancel()
            await asyncio.wait({sleeper})
            await asyncio.sleep(0)  # its farewell runs before us, so that we find no trace of it
