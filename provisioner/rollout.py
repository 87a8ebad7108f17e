"""Bringing a new golden image to everybody, a few at first; and back, if it is not as good as it seemed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from provisioner.clock import Clock
from provisioner.errors import CloudError, Moved, ProvisionerError
from provisioner.images import ROLLOUT_STEPS, Images, Rollout, RolloutEvent, RolloutState, RolloutStore, Tally, judge
from provisioner.instance import Instance, State, UserId
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.parts import Parts

log = structlog.get_logger(__name__)

ROLLOUT: Final = UserId(UUID("00000000-0000-4000-8000-00000000f002"))
"""Whose lease is held by the replica that moves a rollout on: nobody's user id, as it is no random one."""
STEPS: Final = (1, 10, 50, 100)
EVERY_S: Final = 10.0
AT_ONCE: Final = 3
BATCH: Final = 30
GRACE: Final = timedelta(seconds=2)


class BadRollout(ProvisionerError, ValueError):
    """What was asked for makes no sense; nothing was changed."""


class RolloutUnderWay(ProvisionerError):
    """There is an open one already: end it, or go back, first."""


class NoRollout(ProvisionerError):
    """There is none to which this could be done, or it is not in a state for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """The newest rollout, and how it goes."""

    rollout: Rollout
    tally: Tally


class Rollouts:
    """What an operator may do with golden images, and the loop that does it. Any number of replicas may run it."""

    def __init__(self, parts: Parts, lifecycle: Lifecycle, store: RolloutStore) -> None:
        self._parts, self._lifecycle, self._store = parts, lifecycle, store

    async def start(
        self,
        image: str,
        *,
        actor: str,
        steps: Sequence[int] = STEPS,
        tolerance: float = 0.1,
        proof: int = 3,
        soak: timedelta = timedelta(minutes=10),
        hurry: bool = False,
    ) -> Rollout:
        """Begin to bring `image` to everybody: to the first of `steps` (percents, rising to 100) now.

        The other arguments are explained in `provisioner.images.Rollout`.
        Raises BadRollout, RolloutUnderWay.
        """
        _check(image, steps, tolerance, proof, soak)
        images, now = self._parts.images, self._parts.clock.now()
        if image == images.base:
            raise BadRollout("new Machines are of this image already")
        rollout = Rollout(
            id=uuid4(),
            state=RolloutState.RUNNING,
            image=image,
            golden_image=images.golden_image,
            base_image=images.base,
            steps=tuple(steps),
            step=0,
            tolerance=tolerance,
            proof=proof,
            soak=soak,
            hurry=hurry,
            actor=actor,
            why="",
            created_at=now,
            state_since=now,
            step_since=now,
        )
        if not await self._store.start_rollout(rollout):
            raise RolloutUnderWay("a rollout is open: pause it and go back, or let it end")
        images.newest = rollout
        log.info("rollout_started", image=image, actor=actor, percent=rollout.percent)
        return rollout

    @property
    def base(self) -> str:
        """What new Machines are made of now."""
        return self._parts.images.base

    async def newest(self) -> Rollout | None:
        """The one that counts. None: there never was one."""
        return await self._store.newest_rollout()

    async def status(self) -> RolloutStatus | None:
        """None: there never was one."""
        rollout = await self._store.newest_rollout()
        return (
            None if rollout is None else RolloutStatus(rollout=rollout, tally=await self._store.rollout_tally(rollout))
        )

    async def pause(self, *, actor: str) -> Rollout:
        """Move nobody any more; who was moved stays. Raises NoRollout."""
        return await self._order(RolloutEvent.PAUSE, actor)

    async def resume(self, *, actor: str) -> Rollout:
        """Go on with a paused or halted one. Raises NoRollout."""
        return await self._order(RolloutEvent.RESUME, actor)

    async def back(self, *, actor: str) -> Rollout:
        """Everybody returns to the image they had, each when they sleep; new Machines are of the former one at once.

        Raises NoRollout.
        """
        return await self._order(RolloutEvent.BACK, actor)

    async def _order(self, event: RolloutEvent, actor: str) -> Rollout:
        rollout = await self._store.newest_rollout()
        if rollout is None or (rollout.state, event) not in ROLLOUT_STEPS:
            state = "there is none" if rollout is None else f"it is {rollout.state}"
            raise NoRollout(f"no rollout to {event}: {state}")
        if not await self._store.move_rollout(rollout, event, actor=actor):
            raise NoRollout(f"the rollout was changed by somebody else: look, and {event} again")
        newest = await self._store.newest_rollout()
        assert newest is not None  # noqa: S101  rollouts are never deleted
        self._parts.images.newest = newest
        return newest

    # -- moving ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Move the newest rollout on, for ever, on the replica that holds its lease."""
        while True:
            try:
                async with self._parts.working_on(ROLLOUT) as lease:
                    while lease is not None:
                        await self.round()
                        await self._parts.clock.sleep(EVERY_S)
            except Moved:
                log.info("rollout_left_to_another")
            except Exception as fault:
                log.warning("rollout_stumbled", error=repr(fault))
            await self._parts.clock.sleep(EVERY_S)

    async def round(self) -> None:
        """Judge it once, then move and prove some of those that sleep."""
        rollout = self._parts.images.newest = await self._store.newest_rollout()
        if rollout is None or rollout.state not in (RolloutState.RUNNING, RolloutState.RETURNING, RolloutState.DONE):
            return
        tally = await self._store.rollout_tally(rollout)
        verdict = judge(rollout, tally, self._parts.clock.now())
        if verdict is not None:
            event, why = verdict
            if await self._store.move_rollout(rollout, event, actor="rollout", why=why):
                level = log.warning if event is RolloutEvent.HALT else log.info
                level("rollout_moved", event_name=event, image=rollout.image, percent=rollout.percent, why=why)
            self._parts.images.newest = await self._store.newest_rollout()
            return
        await self._each(await self._store.rollout_idle(rollout, limit=BATCH), self._move)
        if rollout.state is RolloutState.RUNNING and (missing := rollout.proof - tally.ready) > 0:
            await self._each(await self._store.rollout_unproven(rollout, limit=missing), self._prove)

    async def _move(self, instance: Instance) -> None:
        """Change its Machine in its sleep."""
        if instance.state is State.SUSPENDED:  # in a hurry: its snapshot is given up, and it is changed on the way
            await self._lifecycle.stop(instance.user_id, actor="rollout", why="its image is about to change")
        else:
            await self._lifecycle.refit(instance.user_id, actor="rollout")

    async def _prove(self, instance: Instance) -> None:
        """Start it once with nobody waiting: whether it comes up is what the next step is decided by."""
        within = self._parts.settings.bring_up_within.total_seconds()
        visitor = Visitor(instance.user_id, instance.email)
        deadline = self._parts.clock.monotonic() + within
        await self._lifecycle.ensure_ready(visitor, deadline=deadline, actor="rollout")
        await self._lifecycle.stop(instance.user_id, actor="rollout", grace=GRACE, why="its new image was tried")

    async def _each(self, instances: Sequence[Instance], act: Callable[[Instance], Awaitable[None]]) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(instance: Instance) -> None:
            async with places:
                try:
                    await act(instance)
                except Moved as moved:
                    log.debug("rollout_let_go", user_id=str(instance.user_id), because=str(moved))
                except (CloudError, ProvisionerError) as fault:
                    log.warning("rollout_move_failed", user_id=str(instance.user_id), error=str(fault))

        async with asyncio.TaskGroup() as group:
            for instance in instances:
                group.create_task(one(instance))


async def follow_rollouts(store: RolloutStore, images: Images, clock: Clock) -> None:
    """Keep `images` true until cancelled. While the database is away the last answer holds."""
    async with aclosing(store.rollout_changes()) as changes:
        async for _ in changes:
            while True:
                try:
                    images.newest = await store.newest_rollout()
                    break
                except Exception as fault:
                    log.warning("rollouts_not_read", error=repr(fault))
                    await clock.sleep(1.0 + clock.jitter())


def _check(image: str, steps: Sequence[int], tolerance: float, proof: int, soak: timedelta) -> None:
    problems = []
    if not image.strip() or any(char.isspace() for char in image):
        problems.append("the image must be one word, best pinned by digest (…@sha256:…)")
    if not steps or list(steps) != sorted(set(steps)) or steps[0] < 1 or steps[-1] != 100:
        problems.append("the steps must be percents that rise from 1 or more to 100")
    if not 0 <= tolerance <= 1:
        problems.append("the tolerance must be between 0 and 1")
    if proof < 0:
        problems.append("the proof must not be negative")
    if soak < timedelta(0):
        problems.append("the soak must not be negative")
    if problems:
        raise BadRollout("; ".join(problems))
