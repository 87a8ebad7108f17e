"""The queue of failed provisionings: tried again when they are due, and what an operator may do about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from provisioner.instance import UserId
from provisioner.job import Job
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.parts import Parts
from provisioner.ports import Waiting
from provisioner.switches import Switch

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 2.0
AT_ONCE: Final = 10
"""Provisionings from the queue that one replica has under way. Those of visitors are never counted nor kept waiting."""


class QueueDesk:
    """What an operator may do. Every act leaves an audit row in its own transaction; `actor` is who did it."""

    def __init__(self, parts: Parts, lifecycle: Lifecycle) -> None:
        self._parts, self._lifecycle = parts, lifecycle

    async def page(
        self, *, dead: bool | None = None, after: UserId | None = None, limit: int = 100
    ) -> Sequence[Waiting]:
        """In order of user_id, for paging by `after`: all, or only the `dead`, or only those that wait."""
        return await self._parts.store.queued(dead=dead, after=after, limit=limit)

    async def retry_now(self, user_id: UserId, *, actor: str) -> Waiting | None:
        """Begin its next attempt, with all tries before it again. Returns when it has begun; None if not queued."""
        waiting = await self._parts.store.try_again(user_id, actor=actor)
        if waiting is not None:
            self._lifecycle.begin(Visitor(user_id, waiting.email), actor=actor, force=True)
        return waiting

    async def reschedule(self, user_id: UserId, *, at: datetime, actor: str) -> Waiting | None:
        """Its next attempt is at `at`; a dead one waits again, for one more try. None if it is not queued."""
        return await self._parts.store.reschedule(user_id, at=at, actor=actor)

    async def drop(self, user_id: UserId, *, actor: str) -> bool:
        """Nobody tries it any more until the user comes again. False if it was not queued."""
        return await self._parts.store.drop(user_id, actor=actor)


class Retrier:
    """Tries what is due, users first. Several replicas may: each bring-up is leased."""

    def __init__(self, parts: Parts, lifecycle: Lifecycle) -> None:
        self._parts, self._lifecycle = parts, lifecycle
        self._under_way: set[Job] = set()

    async def run(self) -> None:
        """For ever. A round that fails is logged, and the next one tries again."""
        while True:
            try:
                await self.round()
            except Exception:
                log.exception("queue_not_read")
            await self._parts.clock.sleep(LOOK_EVERY_S)

    async def round(self) -> None:
        """Begin what is due, as far as there are places free; nothing while that is held back."""
        if self._parts.switches.on(Switch.PAUSE_PROVISIONING):
            return
        self._under_way = {job for job in self._under_way if not job.outcome.done()}
        places = AT_ONCE - len(self._under_way)
        if places <= 0:
            return
        for waiting in await self._parts.store.due(now=self._parts.clock.now(), limit=places):
            self._under_way.add(self._lifecycle.begin(Visitor(waiting.user_id, waiting.email), actor="queue"))
