"""Renewing the tokens of one session: one refresh across all replicas, nothing lost on the way."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from gateway.session.claims import Claims, TokenRefused
from gateway.session.identity import NotSignedIn, Reason, SessionError, SignInUnavailable
from gateway.session.memory import refresh_at
from gateway.session.records import Record, Records
from gateway.session.supabase import (
    USER_IS_GONE,
    Contended,
    Granted,
    SessionDead,
    SupabaseAuth,
    SupabaseRefused,
    SupabaseSilent,
    TooMany,
)
from gateway.session.token import Tokens
from provisioner.clock import Clock

PAUSE_SILENT: Final = 2.0
PAUSE_TOO_MANY: Final = 5.0
"""Seconds (and as much again by chance) in which this replica refreshes nothing: Supabase's limit counts per address,
so every session's next try would fail like this one."""

log = structlog.get_logger(__name__)


class Refresher:
    """Asks Supabase for the next tokens. Safe to call from many replicas at once; callers share flights."""

    def __init__(
        self,
        records: Records,
        tokens: Tokens,
        supabase: SupabaseAuth,
        *,
        clock: Clock,
        before: timedelta,
        at_once: int,
    ) -> None:
        self._records, self._tokens, self._supabase, self._clock = records, tokens, supabase, clock
        self._before = before
        # Each refresh holds a database connection while Supabase thinks; the pool has others to serve.
        self._room = asyncio.Semaphore(at_once)
        self._pause_until = 0.0

    async def refresh(self, id_hash: bytes) -> Record:
        """The session with an access token that lives; the new refresh token is committed before this returns.

        Raises:
            NotSignedIn: the session is over; its row is deleted and every replica hears of it.
            SignInUnavailable: not now. Nothing is lost: asking again later may succeed.
        """
        self._check_pause()
        async with self._room:
            self._check_pause()
            # What is written under the lock is committed when its block ends without an exception, so bad news is
            # raised only after it.
            async with self._records.locked(id_hash) as row:
                if row is None:
                    raise NotSignedIn(Reason.UNKNOWN)
                if self._clock.now() < refresh_at(row.record, self._before):
                    return row.record  # another replica was first
                try:
                    granted = await self._ask(row.record)
                except SessionDead as dead:
                    if dead.code in USER_IS_GONE:
                        await row.shut_out(banned=dead.code == "user_banned", now=self._clock.now())
                    else:
                        await row.delete()
                    news: SessionError = NotSignedIn(Reason.REVOKED, dead.code)
                else:
                    try:
                        return await row.renew(await self._verified(granted, row.record), granted)
                    except (TokenRefused, SignInUnavailable) as unverified:
                        # Keys not to be had, or our settings are wrong. The old refresh token is spent either way,
                        # and one that is two generations behind would kill the session.
                        await row.keep_refresh_token(granted)
                        news = self._unavailable(unverified, pause=PAUSE_SILENT)
            log.info("session_not_refreshed", user_id=str(row.record.user_id), error=str(news))
            raise news

    async def _ask(self, record: Record) -> Granted:
        """Raises SessionDead or SignInUnavailable."""
        for last in (False, True):
            try:
                return await self._supabase.refresh(record.granted.refresh_token, user_ip=record.ip)
            except SessionDead:
                raise
            except Contended as contended:
                if last:
                    raise self._unavailable(contended) from contended
                await self._clock.sleep(0.1 + 0.4 * self._clock.jitter())
            except TooMany as limited:
                raise self._unavailable(limited, pause=limited.retry_after or PAUSE_TOO_MANY) from limited
            except (SupabaseSilent, SupabaseRefused) as failed:  # refused, but not the session: our key or address
                raise self._unavailable(failed, pause=PAUSE_SILENT) from failed
        raise AssertionError("the second try returns or raises")

    async def _verified(self, granted: Granted, record: Record) -> Claims:
        claims = await self._tokens.verify(granted.access_token)
        if claims.user_id != record.user_id:
            raise TokenRefused("another user's")
        return claims

    def _unavailable(self, cause: SessionError, *, pause: float = 0.0) -> SignInUnavailable:
        wait = pause * (1 + self._clock.jitter())
        self._pause_until = max(self._pause_until, self._clock.monotonic() + wait)
        log.warning("refresh_failed", error=type(cause).__name__, detail=str(cause), pause_s=round(wait, 1))
        return SignInUnavailable("Supabase Auth does not refresh sessions", retry_after=max(wait, 1.0))

    def _check_pause(self) -> None:
        left = self._pause_until - self._clock.monotonic()
        if left > 0:
            raise SignInUnavailable("Supabase Auth is given a pause", retry_after=left)
