"""The queue of failed provisionings: tried again when they are due, and what an operator may do about them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from provisioner.clock import before
from provisioner.instance import Instance, UserId
from provisioner.lifecycle import Job, Lifecycle, Visitor
from provisioner.parts import Parts
from provisioner.ports import Waiting
from provisioner.switches import Switch

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 2.0
AT_ONCE: Final = 10
"""Provisionings from the queue that one replica has under way. Those of visitors are never counted nor kept waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One in the queue as the operator sees it. `cause` has Fly's own words; `waiting.error` is the user's version."""

    waiting: Waiting
    email: str
    cause: str | None


class QueueDesk:
    """What an operator may do. Every act leaves an audit row in its own transaction; `actor` is who did it."""

    def __init__(self, parts: Parts, lifecycle: Lifecycle) -> None:
        self._parts, self._lifecycle = parts, lifecycle

    async def page(self, *, dead: bool | None = None, after: UserId | None = None, limit: int = 100) -> Sequence[Entry]:
        """In order of user_id, for paging by `after`: all, or only the `dead`, or only those that wait."""
        listed = await self._parts.store.queued(dead=dead, after=after, limit=limit)
        entries = []
        for waiting in listed:
            instance = await self._parts.store.find(waiting.user_id)
            if instance is not None:
                entries.append(_entry(instance, waiting))
        return entries

    async def find(self, user_id: UserId) -> Entry | None:
        """This user's entry, dead or waiting."""
        waiting, instance = await self._parts.store.waiting(user_id), await self._parts.store.find(user_id)
        return None if waiting is None or instance is None else _entry(instance, waiting)

    async def retry_now(self, user_id: UserId, *, actor: str) -> Entry | None:
        """Begin its next attempt, with all tries before it again. Returns when it has begun; None if not queued."""
        if await self._parts.store.try_again(user_id, actor=actor) is None:
            return None
        entry = await self.find(user_id)
        if entry is not None:
            self._lifecycle.begin(Visitor(user_id, entry.email), actor=actor, force=True)
        return entry

    async def reschedule(self, user_id: UserId, *, at: datetime, actor: str) -> Entry | None:
        """Its next attempt is at `at`; a dead one waits again, for one more try. None if it is not queued."""
        if await self._parts.store.reschedule(user_id, at=at, actor=actor) is None:
            return None
        return await self.find(user_id)

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
            await before(self._parts.clock, self._parts.clock.monotonic() + LOOK_EVERY_S)

    async def round(self) -> None:
        """Begin what is due, as far as there are places free; nothing while that is held back."""
        if self._parts.switches.on(Switch.PAUSE_PROVISIONING):
            return
        self._under_way = {job for job in self._under_way if not job.outcome.done()}
        places = AT_ONCE - len(self._under_way)
        if places <= 0:
            return
        due = await self._parts.store.due(now=self._parts.clock.now(), limit=places)
        for instance in await asyncio.gather(*(self._parts.store.find(waiting.user_id) for waiting in due)):
            if instance is not None:
                job = self._lifecycle.begin(Visitor(instance.user_id, instance.email), actor="queue")
                self._under_way.add(job)


def _entry(instance: Instance, waiting: Waiting) -> Entry:
    return Entry(waiting=waiting, email=instance.email, cause=instance.error)
