"""Nothing goes on for whoever is no longer let in: what a session or a token opened is cut when that ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

from gateway.proxy.live import Live
from gateway.session.admissions import Admissions, NotAdmitted
from gateway.session.identity import SignInUnavailable
from gateway.session.personal import SESSION, PersonalTokens, session_of
from gateway.session.sessions import Sessions
from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.tasks import Tasks

LOOK_AGAIN_S: Final = 1.0
log = structlog.get_logger(__name__)


class Severance:
    """Hears of ends from `sessions` and `personal`, on whichever replica they came about."""

    def __init__(
        self, live: Live, sessions: Sessions, personal: PersonalTokens, admissions: Admissions, clock: Clock
    ) -> None:
        self._live, self._sessions, self._personal, self._clock = live, sessions, personal, clock
        self._admissions = admissions
        self._judged: asyncio.Queue[UserId | None] = asyncio.Queue()
        admissions.when_changed(self._judged.put_nowait)
        self._ended: asyncio.Queue[bytes | None] = asyncio.Queue()
        sessions.when_ended(self._ended.put_nowait)
        personal.when_ended(lambda token: self._ended.put_nowait(None if token is None else session_of(token)))

    async def run(self) -> None:
        """Until cancelled. Each cut waits for nobody else's."""
        async with Tasks() as tasks:
            tasks.begin(self._follow_standings(), name="standings")
            while True:
                session = await self._ended.get()
                work: Coroutine[Any, Any, None] = self._live.cut(session) if session else self._look_again()
                tasks.begin(work, name="cut-off")

    async def _follow_standings(self) -> None:
        """What a token of Supabase's own opened hangs on no session: it ends when its user may not come in any more."""
        while True:
            user_id = await self._judged.get()
            opened = [each for each in self._live.all() if each.session is None and user_id in (None, each.key)]
            for each in opened:
                if not await self._may(each.key):  # type: ignore[arg-type]  # the gate's keys are user ids
                    each.cut()

    async def _may(self, user_id: UserId) -> bool:
        try:
            await self._admissions.check(user_id, "")
        except NotAdmitted:
            return False
        except SignInUnavailable:
            return True  # nobody is thrown out because our database is away
        return True

    async def _look_again(self) -> None:
        """News may have been missed: ask after every session that has something open."""
        while True:
            opened = {each.session for each in self._live.all() if isinstance(each.session, bytes)}
            tokens = {session for session in opened if session.startswith(SESSION)}
            try:
                await self._sessions.look_again(opened - tokens)  # who is gone comes back by `when_ended`
                for session in tokens:
                    if not await self._personal.still(session):
                        self._ended.put_nowait(session)
                return
            except SignInUnavailable as away:
                log.warning("open_sessions_not_checked", sessions=len(opened), error=away.cause)
            await self._clock.sleep(LOOK_AGAIN_S)
