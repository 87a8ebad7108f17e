"""Who was here last, batched: every hit counts, Postgres hears of it every few seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog

from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.ports import Store, Touch

log = structlog.get_logger(__name__)


class Activity:
    """`last_active` on its way to the record.

    `touch` is called for every request, so it only notes who; when is asked every `every_s`, and at most that late.
    """

    def __init__(self, store: Store, clock: Clock, *, every_s: float) -> None:
        self._store = store
        self._clock = clock
        self._every_s = every_s
        self._here: set[UserId] = set()  # since the last flush
        self._pending: dict[UserId, datetime] = {}  # could not be written
        self._writing: dict[UserId, datetime] = {}
        self._working: dict[UserId, list[str]] = {}

    def touch(self, user_id: UserId) -> None:
        """This user, or their Machine, did something now."""
        self._here.add(user_id)

    @contextmanager
    def work(self, user_id: UserId, what: str) -> Iterator[None]:
        """Their Machine has us do `what` (an LLM call) for the block: that is a reason to be awake."""
        running = self._working.setdefault(user_id, [])
        running.append(what)
        self.touch(user_id)
        try:
            yield
        finally:
            self.touch(user_id)
            running.remove(what)
            if not running:
                del self._working[user_id]

    def working(self, user_id: UserId) -> str | None:
        """What their Machine has us do for it now; None without any. What is over counts as activity instead."""
        running = self._working.get(user_id)
        return running[-1] if running else None

    def last(self, user_id: UserId) -> datetime | None:
        """Their latest activity here that may not be in the record yet."""
        if user_id in self._here:
            return self._clock.now()
        return self._pending.get(user_id) or self._writing.get(user_id)

    async def flush(self) -> None:
        """Write what is pending in one statement. What cannot be written stays pending."""
        if self._here:
            self._pending |= dict.fromkeys(self._here, self._clock.now())
            self._here.clear()
        if not self._pending:
            return
        self._writing, self._pending = self._pending, {}
        try:
            await self._store.touch([Touch(user_id=user_id, at=at) for user_id, at in self._writing.items()])
        except BaseException:
            self._pending = {**self._writing, **self._pending}
            raise
        finally:
            self._writing = {}

    async def run(self) -> None:
        """Flush every `every_s` seconds until cancelled, and once more then."""
        try:
            while True:
                await self._clock.sleep(self._every_s)
                try:
                    await self.flush()
                except Exception as fault:
                    log.warning("activity_not_written", users=len(self._pending), error=repr(fault))
        finally:
            await self.flush()
