"""What is open is cut with what opened it; when news were missed, everything that is open is asked after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg

from gateway.proxy.live import Live
from gateway.session import personal
from gateway.session.admissions import Standing
from gateway.session.cookie import hash_of
from gateway.session.logins import session_of
from gateway.session.personal import Scope
from gateway.severance import Severance
from localcloud.database import Database
from provisioner.clock import SystemClock
from provisioner.instance import UserId
from tests.gateway.session.conftest import browser, cloud, gateway, session_id
from tests.gateway.session.stage import Browser, Cloud, Replica, until

__all__ = ["browser", "cloud", "gateway", "session_id"]  # fixtures


class Stream:
    """Something open. It ends when it is told to."""

    streaming, upgraded, moved_at = True, True, 0.0

    def __init__(self, key: UserId, session: bytes) -> None:
        self.key, self.session = key, session
        self.over = asyncio.Event()

    def stop(self, code: int) -> None:
        self.over.set()

    def cut(self) -> None:
        self.over.set()

    def check(self, now: float) -> None: ...

    async def ended(self) -> None:
        await self.over.wait()


@asynccontextmanager
async def severing(gateway: Replica, cloud: Cloud, *streams: Stream) -> AsyncIterator[None]:
    room, live = gateway.room, Live(SystemClock())
    severance = Severance(live, room.sessions, room.personal, room.logins, room.admissions, cloud.clock)
    for stream in streams:
        live.add(stream)
    work = asyncio.ensure_future(severance.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait({work})


async def test_what_ended_while_nobody_told_us_is_cut_once_we_hear_again(
    cloud: Cloud, gateway: Replica, browser: Browser, session_id: str, database: Database
) -> None:
    """A session, a personal token and a login, each beside one of the same kind that lives on."""
    room = gateway.room
    async with Browser(gateway.origin) as phone:
        await phone.sign_in()
        who = room.sessions.peek(session_id)
        assert who is not None
        assert who.supabase_session_id is not None
        other = room.sessions.peek(phone.session_id)
        assert other is not None
        assert other.supabase_session_id is not None
        day = timedelta(days=1)
        tokens = [
            (await room.personal.issue(who.user_id, who.email, name=name, scopes=frozenset(Scope), lifetime=day))[1].id
            for name in ("gone", "kept")
        ]
        now = cloud.clock.now()
        gone, kept = (
            [
                Stream(who.user_id, hash_of(each)),
                Stream(who.user_id, personal.session_of(token)),
                Stream(who.user_id, session_of(login, now)),
            ]
            for each, token, login in (
                (session_id, tokens[0], who.supabase_session_id),
                (phone.session_id, tokens[1], other.supabase_session_id),
            )
        )
        async with severing(gateway, cloud, *gone, *kept):
            admin = await asyncpg.connect(database.admin_dsn)
            for table in ("sessions", "access_tokens", "ended_logins"):
                await admin.execute(f"alter table gateway.{table} disable trigger user")
            await admin.execute("delete from gateway.sessions where id_hash = $1", hash_of(session_id))
            await admin.execute("delete from gateway.access_tokens where id = $1", tokens[0])
            ended = "insert into gateway.ended_logins (user_id, supabase_session_id, reason) values ($1, $2, $3)"
            await admin.execute(ended, who.user_id, who.supabase_session_id, "session_over")
            # While nobody can be asked, nobody is thrown out, and it is not forgotten.
            await admin.execute("alter table gateway.sessions rename to sessions_away")
            room.sessions.heard_end(None)
            room.personal.heard_end(None)
            room.logins.heard_end(None)
            await until(lambda: gone[2].over.is_set())
            assert not gone[0].over.is_set()
            await admin.execute("alter table gateway.sessions_away rename to sessions")
            await admin.close()
            await until(lambda: all(stream.over.is_set() for stream in gone), within=20)
            assert not any(stream.over.is_set() for stream in kept)


async def test_who_may_not_come_in_any_more_is_cut_though_their_login_lives(cloud: Cloud, gateway: Replica) -> None:
    """A program with a token of Supabase's own, whose user has neither session nor personal token here."""
    room, ada, bob = gateway.room, UserId(uuid4()), UserId(uuid4())
    streams = [Stream(user, session_of(uuid4(), cloud.clock.now())) for user in (ada, bob)]
    for user in (ada, bob):
        await room.admissions.check(user, f"{user}@example.com")
    async with severing(gateway, cloud, *streams):
        await room.admissions.decide(ada, Standing.SUSPENDED, by="operator:grace")
        room.admissions.heard_change(ada)
        await until(streams[0].over.is_set)
        room.admissions.heard_change(bob)
        room.admissions.heard_change(None)
    assert not streams[1].over.is_set()
