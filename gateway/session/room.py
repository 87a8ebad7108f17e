"""The session room put together."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.session.claims import Trust
from gateway.session.jwks import KeyRing
from gateway.session.records import Records
from gateway.session.sessions import Sessions
from gateway.session.settings import SessionSettings
from gateway.session.signin import SignIn
from gateway.session.supabase import SupabaseAuth, pool
from gateway.session.token import Tokens
from gateway.session.vault import Vault
from gateway.session.watch import watch
from provisioner.clock import Clock


@dataclass(frozen=True, slots=True)
class SessionRoom:
    """What the rest of the gateway meets of it."""

    sessions: Sessions
    signin: SignIn
    _settings: SessionSettings
    _clock: Clock

    async def watch(self, dsn: str) -> None:
        """The room's background work, on a connection of its own to `dsn`. Runs until cancelled."""
        await watch(self.sessions, dsn, clock=self._clock, seen_every=self._settings.seen_every)


@asynccontextmanager
async def open_session_room(
    settings: SessionSettings,
    *,
    database: Any,
    clock: Clock,
    client_ip: Callable[[web.BaseRequest], str | None],
) -> AsyncIterator[SessionRoom]:
    """The room, ready to answer; nothing is asked of Supabase yet. `database` is an asyncpg pool, the caller's to
    close after this context ended.
    """
    async with pool(timeout=settings.call_timeout) as http:
        supabase = SupabaseAuth(
            settings.auth_url, publishable_key=settings.publishable_key, secret_key=settings.secret_key, http=http
        )
        keys = KeyRing(
            f"{settings.auth_url}/.well-known/jwks.json",
            http=http,
            clock=clock,
            fresh=settings.keys_fresh,
            stale=settings.keys_stale,
        )
        trust = Trust(issuer=settings.auth_url, legacy_secret=settings.legacy_jwt_secret)
        tokens = Tokens(keys, trust, clock=clock, remember=settings.known_sessions)
        records = Records(database, Vault(settings.master_keys, purpose="session-tokens"))
        sessions = Sessions(settings, records=records, tokens=tokens, supabase=supabase, clock=clock)
        signin = SignIn(settings, sessions=sessions, tokens=tokens, supabase=supabase, clock=clock, client_ip=client_ip)
        try:
            yield SessionRoom(sessions, signin, settings, clock)
        finally:
            await sessions.aclose()
            await keys.aclose()
