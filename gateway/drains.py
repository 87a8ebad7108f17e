"""This replica's part when any replica puts an Instance to sleep: object while it is served here, else let go of it."""

import asyncio
from typing import Final

import structlog

from gateway.directory import Directory
from gateway.proxy.live import Live
from gateway.traffic import OpenTraffic
from provisioner.clock import Clock
from provisioner.errors import Moved
from provisioner.instance import Event, State, UserId
from provisioner.ports import Change, Store
from provisioner.tasks import Tasks

LOOK_S: Final = 0.1
"""How often a draining Instance that has something open here is looked at. An order is past DRAINING sooner than that,
so whoever is found there twice has a grace, in which one may object."""
AGAIN_S: Final = 1.0
GOING: Final = (State.SUSPENDING, State.SUSPENDED, State.STOPPING, State.STOPPED, State.DELETING)
LEAVING: Final = (State.DRAINING, *GOING, None)
"""After a change to one of these there may be something to do. Waking up is none: a look would cost every wake two."""
log = structlog.get_logger(__name__)


class Drains:
    """Follows the changes that `directory` hears of, for users who have something open here."""

    def __init__(self, directory: Directory, store: Store, traffic: OpenTraffic, live: Live, clock: Clock) -> None:
        self._store, self._traffic, self._live, self._clock = store, traffic, live, clock
        self._changed: asyncio.Queue[UserId | None] = asyncio.Queue()
        self._followed: set[UserId] = set()
        directory.when_changed(self._heard)

    def _heard(self, change: Change | None) -> None:
        if change is None:
            self._changed.put_nowait(None)
        elif change.state in LEAVING and self._concerned(change.user_id):
            self._changed.put_nowait(change.user_id)

    async def run(self) -> None:
        """Until cancelled. Nobody waits for anybody else's look."""
        async with Tasks() as tasks:
            while True:
                user_id = await self._changed.get()
                # None: news may have been missed, so whoever has something open is looked at.
                users = {user_id} if user_id else {each.key for each in self._live.all()}
                for user in users - self._followed:
                    self._followed.add(user)  # type: ignore[arg-type]  # the gate's keys are user ids
                    tasks.begin(self._follow(user), name="drain")  # type: ignore[arg-type]

    async def _follow(self, user_id: UserId) -> None:
        try:
            while self._concerned(user_id) and await self._draining(user_id):
                await self._clock.sleep(LOOK_S)
        finally:
            self._followed.discard(user_id)

    async def _draining(self, user_id: UserId) -> bool:
        """Do what there is to do now. Whether it has to be looked at again."""
        try:
            instance = await self._store.find(user_id)
            if instance is None:
                await self._live.drain(user_id, 1001)
            elif instance.state in GOING:
                await self._traffic.end(instance)
            elif instance.state is State.DRAINING:
                await self._clock.sleep(LOOK_S)
                if (why := self._objection(user_id)) is None:
                    return True
                await self._store.move(user_id, State.DRAINING, Event.HIT, actor="traffic", detail={"why": why})
        except Moved:
            return True  # it went on before we could object: look where to
        except Exception as fault:
            log.warning("drain_not_followed", user_id=str(user_id), error=repr(fault))
            await self._clock.sleep(AGAIN_S)
            return True
        return False

    def _concerned(self, user_id: UserId) -> bool:
        return self._live.in_progress(user_id) > 0 or self._objection(user_id) is not None

    def _objection(self, user_id: UserId) -> str | None:
        if self._traffic.busy(user_id):
            return "a request is waiting for its answer"
        if (work := self._traffic.working(user_id)) is not None:
            return work
        return None if self._traffic.last_touch(user_id) is None else "somebody is here"
