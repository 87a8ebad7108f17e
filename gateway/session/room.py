"""The session room put together."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aiohttp import web

from gateway.session.admissions import Admissions
from gateway.session.bearers import Bearers
from gateway.session.claims import Trust
from gateway.session.jwks import KeyRing
from gateway.session.logins import Logins
from gateway.session.personal import PersonalTokens
from gateway.session.records import Records
from gateway.session.sessions import Sessions
from gateway.session.settings import SessionSettings
from gateway.session.signin import SignIn
from gateway.session.supabase import SupabaseAuth, pool
from gateway.session.token import Tokens
from gateway.session.vault import Vault
from gateway.session.visits import Visits
from gateway.session.watch import ENDS, LOGINS, STANDINGS, TOKENS, Announced, watch
from provisioner.clock import Clock


@dataclass(frozen=True, slots=True)
class SessionRoom:
    """What the rest of the gateway meets of it."""

    sessions: Sessions
    signin: SignIn
    account_sessions: Sessions
    """Of the account origin: other cookies, other ids, no tokens."""
    account_signin: SignIn
    personal: PersonalTokens
    logins: Logins
    admissions: Admissions
    visits: Visits
    supabase: SupabaseAuth
    _settings: SessionSettings
    _clock: Clock

    async def watch(self, announced: Announced) -> None:
        """The room's background work. Runs until cancelled."""
        await watch(
            announced,
            clock=self._clock,
            seen_every=self._settings.seen_every,
            hears={
                ENDS: self.heard_end,
                TOKENS: self.personal.heard_end,
                STANDINGS: lambda told: self.admissions.heard_change(None if told is None else UUID(told)),
                LOGINS: lambda told: self.logins.heard_end(None if told is None else UUID(told)),
            },
            ends=(self.logins.run, self.sessions.end_visits_in_time),
            sweeps=(self.sessions.sweep, self.logins.sweep),
            books=(self.sessions.write_seen, self.account_sessions.write_seen, self.personal.write_used),
        )

    def heard_end(self, told: str | None) -> None:
        """A session ended on some replica: its payload; None when such news may have been missed."""
        self.sessions.heard_end(None if told is None else bytes.fromhex(told))


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
        personal = PersonalTokens(database, clock)
        logins = Logins(database, clock)
        visits = Visits(database, clock)
        admissions = Admissions(database, clock, settings.rules)

        def door(settings: SessionSettings, bearers: Bearers | None, visits: Visits | None) -> tuple[Sessions, SignIn]:
            sessions = Sessions(
                settings,
                records=records,
                tokens=tokens,
                bearers=bearers,
                visits=visits,
                supabase=supabase,
                clock=clock,
            )
            return sessions, SignIn(
                settings,
                sessions=sessions,
                admissions=admissions,
                tokens=tokens,
                supabase=supabase,
                clock=clock,
                client_ip=client_ip,
            )

        sessions, signin = door(settings, Bearers(tokens, personal, logins, admissions), visits)
        account_sessions, account_signin = door(settings.of_account, None, None)
        # One listener hears of every session that ends; each of the two remembers what it is told.
        sessions.when_ended(account_sessions.heard_end)
        try:
            yield SessionRoom(
                sessions,
                signin,
                account_sessions,
                account_signin,
                personal,
                logins,
                admissions,
                visits,
                supabase,
                settings,
                clock,
            )
        finally:
            await sessions.aclose()
            await account_sessions.aclose()
            await personal.write_used()
            await keys.aclose()
