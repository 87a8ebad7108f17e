"""Nothing goes on for whoever is no longer let in: what a session or a token opened is cut when that ends."""

import asyncio
from collections.abc import Coroutine, Hashable
from typing import Any, Final

import structlog

from gateway.proxy.live import Live, Served
from gateway.session import logins, personal
from gateway.session.admissions import Admissions, NotAdmitted
from gateway.session.identity import NotSignedIn, SignInUnavailable
from gateway.session.logins import Logins
from gateway.session.personal import PersonalTokens
from gateway.session.sessions import Sessions
from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.tasks import Tasks

LOOK_AGAIN_S: Final = 1.0
log = structlog.get_logger(__name__)


class Severance:
    """Hears of ends from every part of the session room, on whichever replica they came about."""

    def __init__(
        self,
        live: Live,
        sessions: Sessions,
        personal_tokens: PersonalTokens,
        login_ends: Logins,
        admissions: Admissions,
        clock: Clock,
    ) -> None:
        self._live, self._sessions, self._personal, self._clock = live, sessions, personal_tokens, clock
        self._logins, self._admissions = login_ends, admissions
        self._judged: asyncio.Queue[UserId | None] = asyncio.Queue()
        admissions.when_changed(self._judged.put_nowait)
        login_ends.when_ended(self._judged.put_nowait)
        self._ended: asyncio.Queue[bytes | None] = asyncio.Queue()
        sessions.when_ended(self._ended.put_nowait)
        personal_tokens.when_ended(
            lambda token: self._ended.put_nowait(None if token is None else personal.session_of(token))
        )

    async def run(self) -> None:
        """Until cancelled. Each cut waits for nobody else's."""
        async with Tasks() as tasks:
            tasks.begin(self._follow_logins(tasks), name="logins")
            while True:
                session = await self._ended.get()
                work: Coroutine[Any, Any, None] = self._live.cut(session) if session else self._look_again()
                tasks.begin(work, name="cut-off")

    async def _follow_logins(self, tasks: Tasks) -> None:
        """What a token of Supabase's own opened ends with its login, and when its user may not come in any more."""
        while True:
            user_id = await self._judged.get()
            opened = {(each.session, each.key) for each in self._opened(logins.SESSION)}
            try:
                for session, key in opened:
                    if user_id in (None, key) and not await self._may(session, key):
                        tasks.begin(self._live.cut(session), name="cut-off")
            except SignInUnavailable as away:  # nobody is thrown out for that; they are looked at again
                log.warning("open_logins_not_checked", logins=len(opened), error=away.cause)
                self._judged.put_nowait(user_id)
                await self._clock.sleep(LOOK_AGAIN_S)

    async def _may(self, session: Hashable, user: Hashable) -> bool:
        user_id: UserId = user  # type: ignore[assignment]  # the gate's keys are user ids
        try:
            await self._logins.check(user_id, session)  # type: ignore[arg-type]  # so _opened chose
            await self._admissions.check(user_id, "")
        except (NotAdmitted, NotSignedIn):
            return False
        return True

    async def _look_again(self) -> None:
        """News may have been missed: ask after every session that has something open."""
        while True:
            opened = {each.session for each in self._live.all() if isinstance(each.session, bytes)}
            tokens = {session for session in opened if session.startswith(personal.SESSION)}
            of_logins = {session for session in opened if session.startswith(logins.SESSION)}  # followed by themselves
            try:
                await self._sessions.look_again(opened - tokens - of_logins)  # who is gone comes back by `when_ended`
                for session in tokens:
                    if not await self._personal.still(session):
                        self._ended.put_nowait(session)
                return
            except SignInUnavailable as away:
                log.warning("open_sessions_not_checked", sessions=len(opened), error=away.cause)
            await self._clock.sleep(LOOK_AGAIN_S)

    def _opened(self, kind: bytes) -> list[Served]:
        """What is open now by a session of this kind."""
        return [each for each in self._live.all() if isinstance(each.session, bytes) and each.session.startswith(kind)]
