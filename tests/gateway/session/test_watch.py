"""News of ended sessions, from replica to replica through Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from gateway.session import cookie
from gateway.session.watch import ENDS, listen
from localcloud.database import Database
from tests.gateway.session.stage import ADA, Browser, Cloud, Replica, replica, until


@asynccontextmanager
async def listening(gateway: Replica, cloud: Cloud) -> AsyncIterator[asyncio.Event]:
    """Listens until the block ends; the event is set once it does."""
    heard = asyncio.Event()

    def hear(word: str | None) -> None:
        gateway.room.heard_end(word)
        if word is None:
            heard.set()

    task = asyncio.ensure_future(listen(cloud.announced.hear, ENDS, hear))
    try:
        async with asyncio.timeout(5):
            await heard.wait()
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def known_on(gateway: Replica, session_id: str) -> None:
    await gateway.room.sessions.identify([f"jarvis={session_id}"])
    assert gateway.room.sessions.peek(session_id) is not None


async def test_signing_out_on_one_replica_ends_it_on_the_other(
    cloud: Cloud, gateway: Replica, browser: Browser
) -> None:
    """Within moments nobody can go on with the old cookie anywhere, and whatever hangs on the session hears of it."""
    await browser.sign_in(ADA)
    session = browser.session_id
    async with replica(cloud) as other, listening(other, cloud):
        await known_on(other, session)
        ended: list[bytes | None] = []
        other.room.sessions.when_ended(ended.append)
        await browser.sign_out()
        await until(lambda: other.room.sessions.peek(session) is None)
        assert ended == [cookie.hash_of(session)]


async def test_news_missed_while_the_connection_was_lost_is_not_believed_away(
    cloud: Cloud, gateway: Replica, browser: Browser, database: Database
) -> None:
    """After a break everything is read anew, because nobody knows what ended meanwhile."""
    await browser.sign_in(ADA)
    session = browser.session_id
    async with replica(cloud) as other, listening(other, cloud) as heard:
        await known_on(other, session)
        admin = await asyncpg.connect(database.admin_dsn)
        # The session ends where the listener cannot hear it.
        await admin.execute("alter table gateway.sessions disable trigger user")
        await admin.execute("delete from gateway.sessions")
        assert other.room.sessions.peek(session) is not None
        dropped = await admin.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen %' and datname ="
            " current_database()"
        )
        await admin.close()
        assert dropped
        await until(lambda: other.room.sessions.peek(session) is None)
        async with asyncio.timeout(5):
            await heard.wait()


async def test_news_that_nobody_understands_is_ignored(cloud: Cloud, gateway: Replica, browser: Browser) -> None:
    """Somebody plays with NOTIFY by hand; the listener lives on."""
    await browser.sign_in(ADA)
    async with listening(gateway, cloud):
        connection = await asyncpg.connect(cloud.dsn)
        for payload in ("", "nonsense", "zz"):
            await connection.execute("select pg_notify($1, $2)", ENDS, payload)
        await connection.execute("delete from gateway.sessions")
        await connection.close()
        await until(lambda: gateway.room.sessions.peek(browser.session_id) is None)


async def test_the_rooms_background_work_keeps_the_books(cloud: Cloud, gateway: Replica, browser: Browser) -> None:
    """`watch` listens, writes when sessions were used, and sweeps, until it is cancelled."""
    await browser.sign_in(ADA)
    sessions = gateway.room.sessions
    work = asyncio.ensure_future(gateway.room.watch(cloud.announced.hear))
    connection = await asyncpg.connect(cloud.dsn)
    cloud.clock.pass_(days=3)
    await sessions.identify([f"jarvis={browser.session_id}"])

    async def written() -> bool:
        return bool(
            await connection.fetchval("select last_seen_at > created_at + interval '2 days' from gateway.sessions")
        )

    await until(written)
    cloud.clock.pass_(days=15)

    async def swept() -> bool:
        return await connection.fetchval("select count(*) from gateway.sessions") == 0

    await until(swept)
    await connection.close()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_what_was_seen_last_is_written_at_the_end(cloud: Cloud, browser: Browser) -> None:
    """A deploy does not make an active session look idle."""
    connection = await asyncpg.connect(cloud.dsn)
    async with replica(cloud) as short_lived, Browser(short_lived.origin) as user:
        await user.sign_in(ADA)
        cloud.clock.pass_(minutes=5)
        short_lived.room.sessions.peek(user.session_id)
    assert await connection.fetchval("select last_seen_at > created_at + interval '4 minutes' from gateway.sessions")
    await connection.close()


async def test_the_account_realm_hears_of_ends_too(cloud: Cloud, gateway: Replica, session_id: str) -> None:
    """One listener for both origins: each remembers what it is told."""
    told: list[bytes | None] = []
    gateway.room.account_sessions.when_ended(told.append)
    async with listening(gateway, cloud):
        assert told == [None]
        gateway.room.sessions.heard_end(cookie.hash_of(session_id))
    assert told == [None, cookie.hash_of(session_id)]
