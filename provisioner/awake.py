"""How long an Instance stays awake, for those who want to know and those who want to have a say."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from provisioner.audit import Entry
from provisioner.clock import Clock
from provisioner.idle import TimesOf, Vigil
from provisioner.instance import Instance, UserId
from provisioner.parts import Traffic
from provisioner.timeline import Story, moments, outlook


class Vigils(Protocol):
    """What keeps Machines awake, on record."""

    async def keep_awake(self, user_id: UserId, until: datetime, *, asked: datetime, actor: str) -> bool:
        """Write it down with its audit row. False: there is no such Instance, or it is being deleted."""

    async def kept_awake_until(self, user_id: UserId) -> datetime | None:
        """What was asked for last, past or not."""

    async def note_vigils(self, reasons: Mapping[UserId, str], *, going_on: timedelta) -> None:
        """They were due to sleep and are left awake. A vigil for the same reason that was noted within `going_on`
        becomes longer; otherwise a new one begins."""

    async def vigils_of(self, user_id: UserId, *, limit: int = 50) -> Sequence[Vigil]:
        """Newest first."""

    async def naps(self, *, since: datetime, shorter_than: timedelta, at_least: int) -> Mapping[UserId, int]:
        """Whoever was woken within `shorter_than` of falling asleep, `at_least` so often since then."""


class Record(Vigils, Protocol):
    """What `Awake` reads beside."""

    async def find(self, user_id: UserId) -> Instance | None: ...
    async def latest_audit(
        self,
        *,
        user_id: UserId | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]: ...


class Awake:
    """Keeps Instances awake on request, and tells the story of one."""

    def __init__(self, store: Record, traffic: Traffic, clock: Clock, times_of: TimesOf) -> None:
        self._store, self._traffic, self._clock, self._times_of = store, traffic, clock, times_of

    async def extend(self, user_id: UserId, until: datetime, *, actor: str) -> datetime | None:
        """Leave this Instance awake until then, however quiet it is; until when it really holds, capped by its plan.

        A time that has passed takes back what was asked for before. It wakes nobody: who sleeps stays asleep, and is
        left awake if they wake before then. None: there is no Instance, or it is being deleted.
        """
        now = self._clock.now()
        times = self._times_of(user_id)
        holds = min(max(until, now), now + times.awake_cap)
        return holds if await self._store.keep_awake(user_id, holds, asked=until, actor=actor) else None

    async def story(self, user_id: UserId, *, limit: int = 50) -> Story | None:
        """The latest moments of their Instance, and what comes next. None: there is none. Wakes nothing."""
        instance = await self._store.find(user_id)
        if instance is None:
            return None
        # A wake or a sleep is up to four rows.
        entries = list(reversed(await self._store.latest_audit(user_id=user_id, limit=4 * limit)))
        entries = [entry for entry in entries if entry.at >= instance.created_at]  # an earlier life is another story
        vigils = await self._store.vigils_of(user_id, limit=limit)
        return Story(
            moments=moments(entries, vigils)[:limit],
            outlook=outlook(
                instance,
                entries,
                vigils,
                now=self._clock.now(),
                times=self._times_of(user_id),
                keep_awake_until=await self._store.kept_awake_until(user_id),
                touched=self._traffic.last_touch(user_id),
            ),
        )
