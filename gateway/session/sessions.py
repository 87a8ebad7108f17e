"""Sessions of signed-in browsers: told from memory, kept in Postgres, renewed without anybody noticing.

A request with a known session touches neither the database nor a cipher. In the last minute of an access token's life a
hit sets a refresh going and is answered at once; only a session whose token has ended waits for it.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal

import structlog

from gateway.session import cookie
from gateway.session.bearers import Bearers
from gateway.session.claims import Claims
from gateway.session.cookie import CookieNames
from gateway.session.flight import Flights
from gateway.session.identity import Identity, NotSignedIn, Reason, SessionError, SignInUnavailable
from gateway.session.memory import Memory
from gateway.session.records import ANSWER_WITHIN, PATIENCE, Ended, Records, Seen
from gateway.session.refresh import Refresher
from gateway.session.sender import plain_address, plain_text
from gateway.session.settings import SessionSettings
from gateway.session.supabase import Granted, SupabaseAuth
from gateway.session.token import Tokens
from gateway.session.visits import LOOK_S, WRITE_EVERY_S, Visits
from provisioner.clock import Clock
from provisioner.instance import UserId

POSTPONED: Final = timedelta(seconds=5)
"""(And as much again by chance.) How soon a session is looked at again that could not be."""
MAX_USER_AGENT: Final = 300

Told = Callable[[bytes | None], None]
log = structlog.get_logger(__name__)


class Sessions:
    """Who is behind a cookie or a bearer token. Used from one event loop; `aclose` before its pools are closed."""

    def __init__(
        self,
        settings: SessionSettings,
        *,
        records: Records,
        tokens: Tokens,
        bearers: Bearers | None,
        visits: Visits | None,
        supabase: SupabaseAuth,
        clock: Clock,
    ) -> None:
        """`bearers` is None where nobody comes in by a token, `visits` where no operator does."""
        self.names = CookieNames.for_scheme(secure=settings.secure, realm=settings.realm)
        self._bearers, self._visits = bearers, visits
        self._settings, self._records, self._tokens = settings, records, tokens
        self._supabase, self._clock = supabase, clock
        self._memory = Memory(
            size=settings.known_sessions, refresh_before=settings.refresh_before, grace=settings.outage_grace
        )
        self._refresher = Refresher(
            records,
            tokens,
            supabase,
            clock=clock,
            before=settings.refresh_before,
            at_once=settings.refreshes_at_once,
        )
        self._flights: Flights[Identity] = Flights()
        self._chores: Flights[None] = Flights()
        self._listeners: list[Told] = []

    def peek(self, cookie_id: str) -> Identity | None:
        """The identity behind a session id, if this replica knows it now. No waiting, no I/O."""
        return self._peek(self.hash_of(cookie_id))

    def hash_of(self, cookie_id: str) -> bytes:
        """What a session id of this realm is known as."""
        return cookie.hash_of(cookie_id, self.names.realm)

    async def identify(self, cookie_headers: Sequence[str], authorization: str | None = None) -> Identity:
        """Who sent a request with these Cookie headers and this Authorization header.

        A bearer token of ours decides alone, good or bad: it is the more explicit of the two. Any other Authorization
        belongs to the App and is not looked at.

        Raises:
            NotSignedIn: nobody we know.
            NotAdmitted: the owner of a bearer token whom we know and do not let in.
            SignInUnavailable: it cannot be told now.
        """
        if (token := self.bearer(authorization)) is not None and self._bearers is not None:
            return await self._bearers.identify(token)
        try:
            cookie_id = cookie.session_id(cookie_headers, self.names)
        except cookie.Ambiguous:
            raise NotSignedIn(Reason.AMBIGUOUS) from None
        if cookie_id is None:
            raise NotSignedIn(Reason.NOTHING_SHOWN)
        id_hash = self.hash_of(cookie_id)
        return self._peek(id_hash) or await self._look_up(id_hash)

    def bearer(self, authorization: str | None) -> str | None:
        """The token in an Authorization header, if it is one of ours, good or bad.

        Such a header must never reach a Machine, even beside a good cookie.
        """
        return None if self._bearers is None else self._bearers.token_in(authorization)

    async def create(
        self, granted: Granted, claims: Claims, *, user_agent: str | None, ip: str | None
    ) -> tuple[str, Identity]:
        """A new session for verified tokens: the id for the cookie, and who it is. Never reuses an id.

        Raises SignInUnavailable.
        """
        cookie_id, now = cookie.new_session_id(), self._clock.now()
        record = await self._records.insert(
            self.hash_of(cookie_id),
            claims,
            granted,
            now=now,
            expires_at=now + self._settings.idle_lifetime,
            user_agent=plain_text(user_agent, MAX_USER_AGENT),
            ip=plain_address(ip),
            realm=self.names.realm,
        )
        self._memory.remember(record, now, epoch=self._memory.epoch)
        return cookie_id, record.identity

    async def end(self, id_hash: bytes) -> UserId | None:
        """Sign out here: the session is over on every replica. Whose it was, None if there was none.

        Supabase is told when it answers; nobody waits for it. Raises SignInUnavailable: nothing ended.
        """
        ended = await self._records.delete(id_hash)
        self._over(id_hash)
        if ended is None:
            visits = [] if self._visits is None else await self._visits.end(id_hash=id_hash, by="the visitor")
            return visits[0].user_id if visits else None
        self._chores.begin(id_hash, lambda: self._tell_supabase(ended))
        return ended.user_id

    async def of_user(self, user_id: UserId) -> Sequence[Seen]:
        """The user's sessions of every realm, the one used last first."""
        return await self._records.of_user(user_id, now=self._clock.now())

    async def end_one_of(self, user_id: UserId, id_hash: bytes) -> bool:
        """As `end`, if that session is this user's. Whether it was."""
        return await self._records.is_users(id_hash, user_id) and await self.end(id_hash) is not None

    async def end_all(self, user_id: UserId, *, by: bytes | None = None) -> None:
        """Sign out everywhere, access tokens of Supabase's own included. Every replica hears of each session;
        Supabase hears by the token of session `by`.
        """
        ended = None if by is None else await self._records.delete(by)
        await self._records.sign_out_everywhere(user_id, now=self._clock.now())
        self._tokens.forget(lambda claims: claims.user_id == user_id)
        if ended is not None:
            self._chores.begin(("everywhere", user_id), lambda: self._tell_supabase(ended, "global"))

    async def look_again(self, sessions: Iterable[bytes]) -> None:
        """Ask anew whether each of these lives. Listeners hear of those that do not.

        Raises SignInUnavailable: not all could be asked.
        """
        for id_hash in sessions:
            with suppress(NotSignedIn):
                await self._flights.share(("read", id_hash), partial(self._read, id_hash))

    def when_ended(self, listener: Told) -> None:
        """Have `listener` called with the hash of each session that ended, on whichever replica.

        With None when ends may have been missed: whatever hangs on a session has to be looked at again.
        """
        self._listeners.append(listener)

    def heard_end(self, id_hash: bytes | None) -> None:
        """A session ended on some replica; None: news may have been missed."""
        if id_hash is not None:
            self._over(id_hash)
            return
        self._memory.drop_all()
        self._tell(None)

    async def end_visits_in_time(self) -> None:
        """Cut visits the moment their time is over, on this replica. Runs until cancelled."""
        assert self._visits is not None  # noqa: S101
        written = self._clock.monotonic()
        while True:
            await self._clock.sleep(LOOK_S)
            due = self._visits.due(self._clock.now())
            for id_hash in due:
                self._over(id_hash)
            if due or self._clock.monotonic() - written >= WRITE_EVERY_S:
                written = self._clock.monotonic()
                await self._visits.write_ends()

    async def write_seen(self) -> None:
        """Write when sessions were last used. What cannot be written now is kept for the next time."""
        if seen := self._memory.take_seen():
            await self._see(seen)

    async def sweep(self) -> None:
        """Delete sessions whose life is over. Raises SignInUnavailable."""
        await self._records.sweep(now=self._clock.now())

    async def aclose(self) -> None:
        """Let refreshes end, so that no spent refresh token stays in the database; write what is left to write."""
        await self._flights.aclose(patience=self._settings.call_timeout.total_seconds())
        await self._chores.aclose()
        await self.write_seen()

    def _peek(self, id_hash: bytes) -> Identity | None:
        now = self._clock.now()
        identity = self._memory.told(id_hash, now)
        if identity is not None and self._memory.due(id_hash, now):
            self._flights.begin(("refresh", id_hash), lambda: self._refresh(id_hash))
        return identity

    async def _look_up(self, id_hash: bytes) -> Identity:
        if (reason := self._memory.gone(id_hash)) is not None:
            raise NotSignedIn(reason)
        try:
            return await self._flights.share(("read", id_hash), lambda: self._read(id_hash))
        except SignInUnavailable:
            wait = POSTPONED * (1 + self._clock.jitter())
            identity = self._memory.postpone(id_hash, self._clock.now(), wait)
            if identity is None:
                raise
            return identity

    async def _read(self, id_hash: bytes) -> Identity:
        epoch = self._memory.epoch
        within = PATIENCE if self._memory.knows(id_hash) else ANSWER_WITHIN
        if (seen := self._memory.take_seen(id_hash)) and not await self._see(seen, within=within):
            # Its sliding end would look nearer than it is; and who cannot write now need not wait for reading.
            raise SignInUnavailable("the database does not answer")
        record = await self._records.read(id_hash, within=within)
        now = self._clock.now()
        if record is None:
            return await self._read_visit(id_hash, epoch)
        if now >= record.expires_at:
            await self._records.delete(id_hash)
            raise self._gone(id_hash, Reason.EXPIRED)
        self._memory.remember(record, now, epoch=epoch)
        if now < record.access_expires_at:
            return self._peek(id_hash) or record.identity
        return await self._flights.share(("refresh", id_hash), lambda: self._refresh(id_hash))

    async def _read_visit(self, id_hash: bytes, epoch: int) -> Identity:
        visit = None if self._visits is None else await self._visits.read(id_hash)
        if visit is None:
            raise self._gone(id_hash, Reason.UNKNOWN)
        self._memory.remember(visit, self._clock.now(), epoch=epoch)
        return visit.identity

    async def _refresh(self, id_hash: bytes) -> Identity:
        epoch = self._memory.epoch
        try:
            record = await self._refresher.refresh(id_hash)
        except NotSignedIn as over:
            raise self._gone(id_hash, over.reason) from over
        except SignInUnavailable:
            self._memory.postpone(id_hash, self._clock.now(), POSTPONED * (1 + self._clock.jitter()))
            raise
        self._memory.remember(record, self._clock.now(), epoch=epoch)
        return record.identity

    async def _see(self, seen: dict[bytes, datetime], *, within: timedelta = ANSWER_WITHIN) -> bool:
        """Whether it was written."""
        idle, absolute = self._settings.idle_lifetime, self._settings.absolute_lifetime
        try:
            await self._records.see(seen, idle=idle, absolute=absolute, within=within)
        except SignInUnavailable as unwritten:
            self._memory.put_back(seen)
            log.warning("last_seen_not_written", sessions=len(seen), error=unwritten.cause)
            return False
        return True

    async def _tell_supabase(self, ended: Ended, scope: Literal["local", "global"] = "local") -> None:
        if ended.access_token is None or self._clock.now() >= ended.access_expires_at:
            return  # it takes only a living token; the refresh token is deleted here and known to nobody
        try:
            await self._supabase.sign_out(ended.access_token, scope)
        except SessionError as failed:
            log.info("supabase_sign_out_failed", user_id=str(ended.user_id), error=type(failed).__name__)

    def _gone(self, id_hash: bytes, reason: Reason) -> NotSignedIn:
        self._memory.end(id_hash, reason)
        self._tell(id_hash)
        return NotSignedIn(reason)

    def _over(self, id_hash: bytes) -> None:
        if self._memory.gone(id_hash) is None:
            self._memory.end(id_hash, Reason.UNKNOWN)
            self._tell(id_hash)

    def _tell(self, id_hash: bytes | None) -> None:
        for listener in self._listeners:
            listener(id_hash)
