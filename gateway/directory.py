"""User → Instance, from memory: a request to a ready Instance asks neither Postgres nor Fly."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import structlog
from cachetools import LRUCache

from provisioner.clock import Clock
from provisioner.instance import ASLEEP, Instance, State, UserId
from provisioner.ports import Change, Store

log = structlog.get_logger(__name__)

BACKSTOP_S: Final = 60.0
"""Notifications keep entries true; this bounds how long one that was missed all the same can lie."""
PATIENCE_S: Final = 3.0
"""For one look into the database. Longer makes everybody wait when it hangs."""
SIZE: Final = 100_000


class Directory:
    """What this replica knows of who is ready, and where. Entries go when any replica changes an Instance.

    While the database does not answer, who was ready last is served on from memory.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[UserId, tuple[Instance, float]] = {}  # until when; a plain dict: every request asks it
        self._last: LRUCache[UserId, Instance] = LRUCache(SIZE)
        # As it was announced: a guess, to be found out by whoever wakes them.
        self._asleep: LRUCache[UserId, State] = LRUCache(SIZE)
        self._drops = 0
        self._told: list[Callable[[Change | None], None]] = []

    def when_changed(self, told: Callable[[Change | None], None]) -> None:
        """Have `told` called for every change of an Instance by any replica; None: there may have been any."""
        self._told.append(told)

    def ready(self, user_id: UserId) -> Instance | None:
        """Their Instance if it is known to be ACTIVE. No I/O."""
        known = self._known.get(user_id)
        if known is None:
            return None
        if self._clock.monotonic() >= known[1]:
            del self._known[user_id]
            return None
        return known[0]

    def asleep(self, user_id: UserId) -> State | None:
        """How it was put to sleep, if that was heard, and nothing else of it since. No I/O."""
        return self._asleep.get(user_id)

    async def find(self, user_id: UserId) -> Instance | None:
        """Their Instance in whatever state, from memory or from the store."""
        known = self.ready(user_id)
        if known is not None:
            return known
        drops = self._drops
        try:
            async with asyncio.timeout(PATIENCE_S):
                instance = await self._store.find(user_id)
        except Exception:
            last = self._last.get(user_id)
            if last is None:
                raise
            # The database is away: who was ready is taken to be ready still, and is asked about again soon.
            log.warning("directory_serves_from_memory", user_id=str(user_id))
            self._keep(last)
            return last
        if instance is not None and drops == self._drops:
            self.learn(instance)
        return instance

    def learn(self, instance: Instance) -> None:
        """Keep it if it is ACTIVE; forget the user otherwise."""
        if instance.state is State.ACTIVE and instance.private_ip is not None:
            self._last[instance.user_id] = instance
            self._keep(instance)
        else:
            self._known.pop(instance.user_id, None)
            self._last.pop(instance.user_id, None)

    def _keep(self, instance: Instance) -> None:
        while len(self._known) >= SIZE:
            del self._known[next(iter(self._known))]  # the oldest, about
        self._known[instance.user_id] = (instance, self._clock.monotonic() + BACKSTOP_S)

    def drop(self, user_id: UserId) -> None:
        """Somebody changed it, or it did not answer: ask the store next time."""
        self._drops += 1  # what is being read right now may be older than this
        self._known.pop(user_id, None)
        self._last.pop(user_id, None)

    async def watch(self) -> None:
        """Drop what any replica changes. Runs until cancelled."""
        while True:
            try:
                async with aclosing(self._store.changes()) as changes:
                    async for change in changes:
                        if change is None:
                            self._drop_all()
                        else:
                            self.drop(change.user_id)
                            self._note_sleep(change)
                        for told in self._told:
                            told(change)
            except Exception:
                log.exception("directory_watch_failed")
            self._drop_all()
            await self._clock.sleep(1)

    def _note_sleep(self, change: Change) -> None:
        self._asleep.pop(change.user_id, None)
        if change.state in ASLEEP:
            self._asleep[change.user_id] = change.state

    def _drop_all(self) -> None:
        self._drops += 1
        self._known.clear()
        self._asleep.clear()
