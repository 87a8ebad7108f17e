"""Logins at Supabase that ended: their access tokens count for nothing, however well they are signed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session import admissions as admissions_room
from gateway.session import logins as logins_room
from gateway.session.admissions import Admissions, Rules
from gateway.session.identity import NotSignedIn, Reason, SignInUnavailable
from gateway.session.logins import KEPT, Logins, login_of, session_of
from localcloud.database import Database
from provisioner.instance import UserId
from provisioner.store.database import connect
from tests.gateway.session.stage import Browser, Cloud, MovableClock, Replica, access_token, until
from tests.parts.line import line_to

ADA = UserId(uuid4())
ISSUED = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOGIN = session_of(uuid4(), ISSUED)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Any]:
    async with connect(database.dsn) as pool:
        yield pool


@given(st.uuids(), st.integers(0, 1 << 36))
def test_a_mark_says_which_login_and_when(login: UUID, second: int) -> None:
    at = datetime.fromtimestamp(second, UTC)
    assert login_of(session_of(login, at)) == (login, at)


@pytest.mark.parametrize(("ended", "refused"), [(timedelta(0), True), (timedelta(seconds=-1), False)])
async def test_signing_out_everywhere_ends_every_token_that_was_there(
    pool: Any, ended: timedelta, refused: bool
) -> None:
    await pool.execute(
        "insert into gateway.ended_logins (user_id, reason, ended_at) values ($1, 'signed_out_everywhere', $2)",
        ADA,
        ISSUED + ended,
    )
    logins = Logins(pool, MovableClock())
    if refused:
        with pytest.raises(NotSignedIn) as told:
            await logins.check(ADA, LOGIN)
        assert told.value.reason is Reason.REVOKED
    else:
        await logins.check(ADA, LOGIN)
    await logins.check(UserId(uuid4()), LOGIN)


async def test_an_outage_of_the_database_ends_nobody_who_was_in_lately(database: Database) -> None:
    """Programs with a token go on for a quarter of an hour; who comes anew cannot be told, and is asked to wait."""
    clock = MovableClock()
    async with connect(database.dsn) as pool:
        logins, admissions = Logins(pool, clock), Admissions(pool, clock, Rules())
        await logins.check(ADA, LOGIN)
        await admissions.check(ADA, "ada@example.com")
    clock.pass_(minutes=2)  # the pool is closed: nobody answers any more
    await logins.check(ADA, LOGIN)
    await admissions.check(ADA, "ada@example.com")
    for stranger in (UserId(uuid4()), UserId(uuid4())):
        with pytest.raises(SignInUnavailable):
            await logins.check(stranger, LOGIN)
        with pytest.raises(SignInUnavailable):
            await admissions.check(stranger, "")
    clock.pass_(minutes=14)
    with pytest.raises(SignInUnavailable):
        await logins.check(ADA, LOGIN)
    with pytest.raises(SignInUnavailable):
        await admissions.check(ADA, "ada@example.com")


async def test_a_database_that_says_nothing_is_waited_for_once_a_minute(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was in lately goes on; only the first of their requests waits."""
    for each in (logins_room, admissions_room):
        monkeypatch.setattr(each, "PATIENCE", timedelta(seconds=0.3))
    clock = MovableClock()
    async with line_to(database) as (line, far), connect(far.dsn, max_size=2, command_timeout=600) as pool:
        logins, admissions = Logins(pool, clock), Admissions(pool, clock, Rules())

        async def both() -> None:
            await logins.check(ADA, LOGIN)
            await admissions.check(ADA, "ada@example.com")

        await both()
        clock.pass_(minutes=2)
        line.silent = True
        async with asyncio.timeout(60):
            await asyncio.gather(*(both() for _ in range(3)))  # more than there are connections
            for _ in range(1_000):
                await both()
        line.silent = False
        logins.heard_end(None)  # what the listener says once it listens again
        admissions.heard_change(None)
        await both()


async def test_what_is_remembered_is_forgotten_with_the_news(pool: Any) -> None:
    logins = Logins(pool, MovableClock())
    told: list[UserId | None] = []
    logins.when_ended(told.append)
    await logins.check(ADA, LOGIN)
    await pool.execute("insert into gateway.ended_logins (user_id, reason) values ($1, 'banned')", ADA)
    await logins.check(ADA, LOGIN)  # from memory: no news yet
    logins.heard_end(ADA)
    with pytest.raises(NotSignedIn):
        await logins.check(ADA, LOGIN)
    assert told == [ADA]


async def test_an_end_that_is_told_while_we_ask_is_not_forgotten(pool: Any, database: Database) -> None:
    """The answer may be older than the news: it lets this one request in, and the next one asks anew."""
    logins, admin = Logins(pool, MovableClock()), await asyncpg.connect(database.admin_dsn)

    async def asking() -> bool:
        waits = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = $1)"
        return bool(await admin.fetchval(waits, await admin.fetchval("select current_database()")))

    try:
        async with admin.transaction():
            await admin.execute("lock table gateway.ended_logins in access exclusive mode")
            first = asyncio.ensure_future(logins.check(ADA, LOGIN))
            await until(asking)
            logins.heard_end(ADA)
        await first
        await admin.execute("insert into gateway.ended_logins (user_id, reason) values ($1, 'banned')", ADA)
        with pytest.raises(NotSignedIn):
            await logins.check(ADA, LOGIN)
    finally:
        await admin.close()


async def test_ends_are_kept_as_long_as_a_token_may_live(pool: Any) -> None:
    clock = MovableClock()
    logins = Logins(pool, clock)
    await pool.execute("insert into gateway.ended_logins (user_id, reason) values ($1, 'banned')", ADA)
    clock.pass_(days=7)
    await logins.sweep()
    assert await pool.fetchval("select count(*) from gateway.ended_logins") == 1
    clock.pass_(seconds=(KEPT - timedelta(days=7)).total_seconds() + 1)
    await logins.sweep()
    assert await pool.fetchval("select count(*) from gateway.ended_logins") == 0


async def test_the_access_token_of_a_session_ends_with_it(cloud: Cloud, gateway: Replica, browser: Browser) -> None:
    await browser.sign_in()
    token = await access_token(cloud, gateway, browser.session_id)
    bearer = {"Authorization": f"Bearer {token}"}
    async with Browser(gateway.origin) as program:
        assert (await program.get("/", headers=bearer)).status_code == 200
        await browser.sign_out()
        gateway.room.logins.heard_end(None)  # what the listener does
        assert (await program.get("/", headers=bearer)).status_code == 401


async def test_trouble_of_ours_never_stops_supabase(database: Database) -> None:
    """Our triggers on its tables hear what they can; a ban goes through even where our table is gone."""
    admin = await asyncpg.connect(database.admin_dsn)
    user = uuid4()
    try:
        await admin.execute("drop table gateway.ended_logins")
        await admin.execute("insert into auth.users (id) values ($1)", user)
        await admin.execute("insert into auth.sessions (id, user_id) values ($1, $2)", uuid4(), user)
        await admin.execute("update auth.users set banned_until = now() + interval '1 day' where id = $1", user)
        await admin.execute("delete from auth.users where id = $1", user)
        assert await admin.fetchval("select count(*) from auth.sessions") == 0
    finally:
        await admin.close()
