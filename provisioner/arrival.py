"""A user is here: from whatever state their Instance is in to ACTIVE, under its lease."""

from datetime import timedelta
from typing import Final

import structlog

from provisioner.backoff import backoff
from provisioner.bringup import BringUp
from provisioner.claim import settle
from provisioner.errors import (
    BeingDeleted,
    CloudError,
    NotReady,
    ProvisionerError,
    ProvisioningFailed,
    Refused,
    WrongState,
)
from provisioner.fit import fits
from provisioner.instance import ASLEEP, Event, Instance, State
from provisioner.job import Job
from provisioner.operators import is_operator
from provisioner.parts import Parts
from provisioner.plan import overdue
from provisioner.ports import Lease
from provisioner.probe import Health
from provisioner.progress import WAKE
from provisioner.putdown import quietly_stop
from provisioner.refit import fit_of, try_refit
from provisioner.switches import Switch

log = structlog.get_logger(__name__)

QUEUE_FIRST_S: Final = 5.0
QUEUE_CAP_S: Final = 600.0
"""Also how long one that was given up rests before a visit tries it again."""
BACKGROUND: Final = frozenset({"reconciler", "rollout"})
"""Actors behind whom no user waits: in the queue they come after those behind whom one does."""
HELD_BACK: Final = "New machines are not being made right now; you keep your place."


class Arrival:
    """One bring-up from its first look at the row to its last, for good or ill."""

    def __init__(self, parts: Parts, lease: Lease, job: Job, *, actor: str) -> None:
        self._parts = parts
        self._lease = lease
        self._job = job
        self._progress = job.progress
        self._actor = actor
        self._arrived: Instance | None = None

    async def arrive(self, *, doubt: bool, force: bool) -> Instance:
        """The Instance, ACTIVE. `doubt` and `force` as in `Lifecycle.begin`.

        Raises:
            ProvisioningFailed: the failure is recorded and queued, or its next attempt is not due yet.
            NotReady, CloudError: a wake was given up; the row says STOPPED.
            BeingDeleted, Moved: somebody else decided otherwise.
        """
        store, user_id = self._parts.store, self._lease.user_id
        instance = await store.find(user_id)  # as it is now that nobody else may move it
        if instance is None or instance.state is State.DELETING:
            raise BeingDeleted(f"{user_id} is being deleted")
        if instance.state is State.ACTIVE and not (doubt and await self._sleeps_secretly(instance)):
            return instance
        if overdue(instance, self._parts.clock.now(), self._parts.settings.patience):
            instance = await self._past_its_deadline(instance)
        if instance.state in (State.PROVISIONING, State.FAILED) and self._is_held_back():
            raise await self._held_back(instance)
        before = instance.state
        event = await self._entry(instance, force=force)
        if event is not None:
            instance = await store.move(user_id, before, event, actor=self._actor, lease=self._lease)
            if event is Event.WAKE:
                self._progress.become("start" if before in (State.STOPPED, State.STOPPING) else "resume", WAKE)
        elif before is State.WAKING:
            self._progress.become("start", WAKE)
        return await self._come_up(instance, before)

    async def wake(self, woken: Instance, *, memory: bool) -> Instance:
        """The same for one whose step WAKE was taken with its lease. `memory`: it slept with it. Raises as `arrive`."""
        self._progress.become("resume" if memory else "start", WAKE)
        return await self._come_up(woken, State.SUSPENDED if memory else State.STOPPED)

    async def _come_up(self, instance: Instance, before: State) -> Instance:
        """From its first step on, which was taken from the state `before`."""
        try:
            instance = await settle(self._parts, self._lease, instance, self._progress, actor=self._actor)
            if before is State.STOPPED:  # it boots anyway, so nothing is lost: the moment for another size or image
                fit = fit_of(self._parts, instance)
                if not fits(instance, fit):
                    instance = await try_refit(self._parts, self._lease, instance, fit, actor=self._actor)
            fell_silent = before is State.ACTIVE
            work = BringUp(self._parts, self._lease, self._job, actor=self._actor, answered=fell_silent)
            asleep = before in ASLEEP or before is State.SUSPENDING
            instance = await work.run(instance, asleep=asleep)
        except (CloudError, NotReady) as fault:
            raise await self._give_up(fault) from fault
        self._arrived = instance
        return instance

    async def write_down(self) -> None:
        """How it came up, for rollouts and for what users are told to expect. Nobody has to wait for that."""
        if self._arrived is not None:
            await self._tell_rollout(self._arrived)
            took = self._progress.took()
            await self._parts.store.journal(self._arrived.id, path=self._progress.path, steps=took)

    async def _past_its_deadline(self, instance: Instance) -> Instance:
        """Where the way to ready begins anew, for one whose replicas died again and again."""
        fault = NotReady(f"on its way since {instance.state_since}, and whoever worked on it died")
        if instance.state is State.PROVISIONING:
            raise await self._give_up(fault)
        if instance.state is State.WAKING:
            return await self._parts.store.move(
                instance.user_id, State.WAKING, Event.FAIL, actor=self._actor, lease=self._lease, error=str(fault)
            )
        return instance

    async def _tell_rollout(self, instance: Instance, *, error: str | None = None) -> None:
        """How it came up, to the rollout that gave it its image, if one did."""
        rollout = self._parts.images.watches(instance)
        if rollout is not None:
            if error is not None:
                self._parts.images.failed(instance.user_id)
            await self._parts.rollouts.rollout_outcome(rollout, instance, error=error)

    async def _entry(self, instance: Instance, *, force: bool) -> Event | None:
        """The event that begins a bring-up from this state; None where one was begun already."""
        match instance.state:
            case State.PROVISIONING | State.WAKING:
                return None
            case State.FAILED:
                waiting = await self._parts.store.waiting(instance.user_id)
                if waiting is not None and not force and waiting.next_retry_at > self._parts.clock.now():
                    raise ProvisioningFailed(waiting.error, next_retry_at=waiting.next_retry_at)
                return Event.RETRY
            case _:
                return Event.WAKE

    def _is_held_back(self) -> bool:
        """An operator who starts one by hand means it."""
        return self._parts.switches.on(Switch.PAUSE_PROVISIONING) and not is_operator(self._actor)

    async def _held_back(self, instance: Instance) -> ProvisioningFailed:
        """The operator lets nobody new have a Machine for now: a place in the queue keeps it for them."""
        store, clock = self._parts.store, self._parts.clock
        told = self._parts.switches.position(Switch.PAUSE_PROVISIONING).message
        words = f"{HELD_BACK} {told}".strip()
        waiting = await store.waiting(instance.user_id)
        if instance.state is State.PROVISIONING:
            waiting = await store.put_off(
                self._lease,
                actor=self._actor,
                error=words,
                words=words,
                next_retry_at=clock.now(),
                tries=self._parts.settings.queue_tries,
                background=self._actor in BACKGROUND,
            )
        return ProvisioningFailed(words, next_retry_at=None if waiting is None else waiting.next_retry_at)

    async def _sleeps_secretly(self, instance: Instance) -> bool:
        """Recorded as ready, but somebody could not reach it: is it so?

        Its Guard is asked, not Fly: a slow App must not cost calls. A Guard that says nothing counts as asleep; should
        Fly call the Machine started, the bring-up knocks on, and restarts it in the end.
        """
        if instance.machine_id is None or instance.private_ip is None:
            return True
        endpoint = self._parts.endpoint(instance.private_ip)
        return await self._parts.probe.health(endpoint, instance.machine_id, timeout=0.5) is Health.SILENT

    async def _give_up(self, fault: CloudError | NotReady) -> ProvisionerError:
        """Record that it failed, and say it in the words that the waiting user gets."""
        parts, user_id = self._parts, self._lease.user_id
        instance = await parts.store.find(user_id)
        if instance is not None and instance.state is State.WAKING:
            if isinstance(fault, NotReady | Refused | WrongState):  # of others the image is innocent
                await self._tell_rollout(instance, error=str(fault)[:500])
            await parts.store.move(
                user_id,
                State.WAKING,
                Event.FAIL,
                actor=self._actor,
                lease=self._lease,
                error=str(fault),
                detail={"kind": type(fault).__name__},
            )
            await quietly_stop(parts, instance)
            return fault
        words, tries = words_for(fault), parts.settings.queue_tries
        known = await parts.store.waiting(user_id)
        failures = 1 if known is None else known.attempts + 1
        wait = backoff(failures, first=QUEUE_FIRST_S, cap=QUEUE_CAP_S, chance=parts.clock.jitter())
        waiting = await parts.store.put_off(
            self._lease,
            actor=self._actor,
            error=str(fault),
            words=words,
            next_retry_at=parts.clock.now() + timedelta(seconds=QUEUE_CAP_S if failures >= tries else wait),
            tries=tries,
            background=self._actor in BACKGROUND,
        )
        if waiting.dead:
            log.error("dead_letter", user_id=str(user_id), attempts=waiting.attempts, error=str(fault))
        return ProvisioningFailed(words, next_retry_at=waiting.next_retry_at)


def words_for(fault: ProvisionerError) -> str:
    """What a user may read of a failure: no ids, no addresses, no foreign text."""
    match fault:
        case CloudError() | NotReady():
            return fault.words
        case ProvisioningFailed():
            return fault.cause
        case BeingDeleted():
            return "This machine is being deleted."
        case _:
            return "Something went wrong on our side."
