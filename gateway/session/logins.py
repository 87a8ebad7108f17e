"""Access tokens of Supabase outlive their login: signed, and good until they end. Here a login ends for good."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from cachetools import TTLCache

from gateway.session.identity import NotSignedIn, Reason, SignInUnavailable
from gateway.session.records import ANSWER_WITHIN, PATIENCE, in_words
from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.store.database import queries

REMEMBERED: Final = 100_000
REMEMBERED_FOR_S: Final = 60.0
"""News of an end come at once; this bounds how long one that was missed can lie."""
GRACE_S: Final = 900.0
"""While the database does not answer, who was let in within so many seconds goes on. As for sessions."""
KEPT: Final = timedelta(days=8)
"""Longer than any access token may live (Supabase's own most: a week)."""
AGAIN_S: Final = 1.0

SESSION: Final = b"login:"
"""Begins the `session` of an Identity that came by a token of Supabase's own; login and time of issue follow."""
log = structlog.get_logger(__name__)

Told = Callable[[UserId | None], None]


def session_of(supabase_session_id: UUID, issued_at: datetime) -> bytes:
    """What everything that was opened by this token is marked with."""
    return SESSION + supabase_session_id.bytes + int(issued_at.timestamp()).to_bytes(8)


def login_of(session: bytes) -> tuple[UUID, datetime]:
    """What `session_of` was made from, to the second."""
    mark = session.removeprefix(SESSION)
    return UUID(bytes=mark[:16]), datetime.fromtimestamp(int.from_bytes(mark[16:]), UTC)


class Logins:
    """The table of ended logins, and the memory of living ones. Used from one event loop."""

    def __init__(self, pool: Any, clock: Clock) -> None:
        """`pool` stays the caller's to close."""
        self._pool, self._clock = pool, clock
        self._sql = queries("logins")
        self._alive: TTLCache[UserId, set[bytes]] = TTLCache(REMEMBERED, REMEMBERED_FOR_S, timer=clock.monotonic)
        self._lately: TTLCache[UserId, set[bytes]] = TTLCache(REMEMBERED, GRACE_S, timer=clock.monotonic)
        self._ends = 0
        self._heard: asyncio.Queue[UserId | None] = asyncio.Queue()
        self._listeners: list[Told] = []

    async def check(self, user_id: UserId, session: bytes) -> None:
        """Return for a login that lives; from memory if it was asked lately. Raises NotSignedIn, SignInUnavailable."""
        if session in self._alive.get(user_id, ()):
            return
        ends = self._ends
        login, issued_at = login_of(session)
        lately = session in self._lately.get(user_id, ())
        try:
            async with in_words(PATIENCE if lately else ANSWER_WITHIN):
                ended = await self._sql.login_ended(
                    self._pool, user_id=user_id, supabase_session_id=login, issued_at=issued_at
                )
        except SignInUnavailable:
            if session not in self._lately.get(user_id, ()):
                raise
            # For a while no program of theirs waits for it again. Once we hear of ends again, all is asked anew.
            self._alive[user_id] = self._alive.get(user_id, set()) | {session}
            return
        if ended:
            log.info("token_refused", reason="its login ended")
            raise NotSignedIn(Reason.REVOKED, "its login ended")
        if ends == self._ends:  # or it may have ended while we read
            for memory in (self._alive, self._lately):
                memory[user_id] = memory.get(user_id, set()) | {session}

    def heard_end(self, user_id: UUID | None) -> None:
        """A login of this user ended, here, at Supabase or at another replica; None: news may have been missed."""
        self._ends += 1
        whose = None if user_id is None else UserId(user_id)
        for memory in (self._alive, self._lately):
            if whose is None:
                memory.clear()
            else:
                memory.pop(whose, None)
        self._heard.put_nowait(whose)
        for listener in self._listeners:
            listener(whose)

    def when_ended(self, listener: Told) -> None:
        """Have `listener` called with each user of whom a login ended; with None when news may have been missed."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """End sessions and tokens along with what ended at Supabase. Until cancelled."""
        while True:
            whose = await self._heard.get()
            try:
                async with in_words():
                    await self._sql.end_with_logins(self._pool, user_id=whose, now=self._clock.now())
            except SignInUnavailable as away:
                log.warning("logins_not_ended", error=away.cause)
                self._heard.put_nowait(whose)
                await self._clock.sleep(AGAIN_S)

    async def sweep(self) -> None:
        """Forget ends of logins of which no token can live any more. Raises SignInUnavailable."""
        async with in_words():
            await self._sql.sweep_logins(self._pool, before=self._clock.now() - KEPT)
