"""Who may come in at all. The rule is a plain function; what it said is remembered, so that it costs nothing later."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import asyncpg
import structlog
from cachetools import TTLCache

from gateway.session.identity import SessionError, SignInUnavailable
from gateway.session.records import ANSWER_WITHIN, PATIENCE, in_words
from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.store.database import queries

REMEMBERED: Final = 100_000
REMEMBERED_FOR_S: Final = 60.0
"""News of a change come at once; this bounds how long one that was missed can lie."""
GRACE_S: Final = 900.0
"""While the database does not answer, who came in within so many seconds goes on (REMEMBERED_FOR_S more, at most, if
they are at it). As for sessions."""
log = structlog.get_logger(__name__)


class Mode(StrEnum):
    """Who is let in without being asked about."""

    OPEN = "open"
    INVITE = "invite"  # whom the operator lets in
    ALLOW_LIST = "allow-list"  # whom SIGNUP_ALLOW names
    PAID = "paid"  # who has a paid plan


class Standing(StrEnum):
    """What became of somebody's wish to come in."""

    WAITING = "waiting"
    ADMITTED = "admitted"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    LEAVING = "leaving"  # their account is being deleted, or was


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """SIGNUP_MODE, SIGNUP_ALLOW and USERS_CAP."""

    mode: Mode = Mode.OPEN
    allow: frozenset[str] = field(default_factory=frozenset)
    """Addresses (`ada@example.com`) and domains (`example.com`) in lower case; let in under every mode."""
    cap: int | None = None
    """Users let in by a rule, at most. The operator may let in more."""


class NotAdmitted(SessionError):
    """They proved who they are, and may not come in. `standing` says why."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing.value)
        self.standing = standing


def decide(rules: Rules, known: Standing | None, *, email: str, paid: bool) -> Standing:
    """What somebody gets who asks, the cap aside. What an operator decided stands; who waits is judged anew."""
    if known is not None and known is not Standing.WAITING:
        return known
    address = email.lower()
    named = bool(address) and bool({address, address.rpartition("@")[2]} & rules.allow)
    if named or rules.mode is Mode.OPEN or (paid and rules.mode is Mode.PAID):
        return Standing.ADMITTED
    return Standing.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Signup:
    """Somebody who asked to come in."""

    user_id: UserId
    email: str
    status: Standing
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class Admissions:
    """The list of who asked to come in, and the memory of who may."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, rules: Rules) -> None:
        """`pool` stays the caller's to close."""
        self._pool, self._clock, self._rules = pool, clock, rules
        self._sql = queries("signups")
        self._may: TTLCache[UserId, bool] = TTLCache(REMEMBERED, REMEMBERED_FOR_S, timer=clock.monotonic)
        self._lately: TTLCache[UserId, bool] = TTLCache(REMEMBERED, GRACE_S, timer=clock.monotonic)
        self._changes = 0
        self._listeners: list[Callable[[UserId | None], None]] = []

    async def check(self, user_id: UserId, email: str) -> None:
        """Return for who may come in; from memory if it was asked lately. Raises NotAdmitted, SignInUnavailable."""
        if user_id in self._may:
            return
        changes = self._changes
        try:
            within = PATIENCE if user_id in self._lately else ANSWER_WITHIN
            standing = await self.ask(user_id, email, within=within)
        except SignInUnavailable:
            if user_id not in self._lately:
                raise
            self._may[user_id] = True  # for a while nobody of theirs waits for it again; see `heard_change`
            return
        if standing is not Standing.ADMITTED:
            log.info("not_admitted", user_id=str(user_id), standing=standing.value)
            raise NotAdmitted(standing)
        if changes == self._changes:
            self._may[user_id] = self._lately[user_id] = True

    async def ask(self, user_id: UserId, email: str, *, within: timedelta = ANSWER_WITHIN) -> Standing:
        """Their standing now. Who asks for the first time is written down. Raises SignInUnavailable."""
        async with in_words(within):
            row = await self._sql.standing(self._pool, user_id=user_id)
            if row["leaving"]:
                return Standing.LEAVING
            known = Standing(row["status"]) if row["status"] is not None else None
            standing = decide(self._rules, known, email=email, paid=row["paid"])
            if standing is known:
                return standing
            return await self._enter(user_id, email, standing)

    async def place(self, user_id: UserId) -> int | None:
        """Their place on the waiting list, 1 being first; None for who is not on it. Raises SignInUnavailable."""
        async with in_words():
            place: int | None = await self._sql.place_in_line(self._pool, user_id=user_id)
            return place

    async def _enter(self, user_id: UserId, email: str, standing: Standing) -> Standing:
        rules, now = self._rules, self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            await self._sql.one_at_a_time(connection)  # or two would both be the last whom the cap admits
            if standing is Standing.ADMITTED:
                admitted = await self._sql.admit_by_rule(
                    connection, user_id=user_id, email=email, rule=rules.mode.value, cap=rules.cap, now=now
                )
                if admitted is not None:
                    return Standing.ADMITTED
            return Standing(await self._sql.wait_in_line(connection, user_id=user_id, email=email, now=now))

    async def page(self, *, status: Standing | None, after: UserId | None, limit: int) -> list[Signup]:
        """For the operator, first come first."""
        async with in_words():
            rows = self._sql.page_of_signups(self._pool, status=status, after=after, most=limit)
            return [Signup(**{**row, "status": Standing(row["status"])}) async for row in rows]

    async def decide(self, user_id: UserId, standing: Standing, *, by: str) -> Signup | None:
        """The operator's word; None if this user never asked. Who is not admitted is signed out everywhere at once."""
        async with in_words():
            row = await self._sql.decide_signup(
                self._pool, user_id=user_id, status=standing, decided_by=by, now=self._clock.now()
            )
        return None if row is None else Signup(**{**row, "status": Standing(row["status"])})

    def heard_change(self, user_id: UUID | None) -> None:
        """Somebody's standing changed on some replica; None: news may have been missed."""
        self._changes += 1
        if user_id is None:
            self._may.clear()
            self._lately.clear()
        else:
            self._may.pop(UserId(user_id), None)
            self._lately.pop(UserId(user_id), None)
        for listener in self._listeners:
            listener(None if user_id is None else UserId(user_id))

    def when_changed(self, listener: Callable[[UserId | None], None]) -> None:
        """Have `listener` called with each user whose standing changed; with None when news may have been missed."""
        self._listeners.append(listener)
