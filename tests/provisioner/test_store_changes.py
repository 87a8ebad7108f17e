"""Changes called out to every replica."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from provisioner.instance import Event, State
from provisioner.ports import Change, Touch
from provisioner.store.changes import Announcements

LISTENERS = "select pid from pg_stat_activity where query ~ '^(UN)?LISTEN' and datname = current_database()"


async def test_a_step_taken_by_another_replica_is_heard(store, make):
    instance = await make(State.SUSPENDED)
    async with aclosing(store.changes()) as changes:
        assert await anext(changes) is None  # listening from here on
        await store.move(instance.user_id, State.SUSPENDED, Event.WAKE, actor="other")
        assert await anext(changes) == Change(instance.user_id, State.WAKING)


async def test_mere_activity_and_unchanged_values_are_not(store, make, clock, admin):
    """Thousands of touches a minute must not empty every replica's cache."""
    quiet, loud = await make(State.ACTIVE), await make(State.ACTIVE)
    async with aclosing(store.changes()) as changes:
        assert await anext(changes) is None
        await store.touch([Touch(user_id=quiet.user_id, at=clock.now() + timedelta(seconds=1))])
        await admin.execute("update user_instances set state = state where user_id = $1", quiet.user_id)
        await admin.execute("update user_instances set private_ip = 'fdaa::9' where user_id = $1", loud.user_id)
        assert await anext(changes) == Change(loud.user_id, State.ACTIVE)


async def test_creation_and_removal_are_heard(store, make):
    async with aclosing(store.changes()) as changes:
        assert await anext(changes) is None
        instance = await make(State.PROVISIONING)
        assert await anext(changes) == Change(instance.user_id, State.PROVISIONING)
        await store.move(instance.user_id, State.PROVISIONING, Event.DELETE, actor="test")
        assert await anext(changes) == Change(instance.user_id, State.DELETING)
        lease = await store.acquire(instance.user_id, owner="r1", ttl=timedelta(seconds=30))
        await store.remove(lease, actor="test")
        assert await anext(changes) == Change(instance.user_id, None)


async def test_a_state_that_only_a_newer_replica_knows_is_not_known_here(store, admin):
    """Two versions run side by side while a new one is rolled out."""
    somebody = uuid4()
    async with aclosing(store.changes()) as changes:
        assert await anext(changes) is None
        for word in (f"{somebody} dreaming", f"{somebody}"):
            await admin.execute("select pg_notify('instance_changed', $1)", word)
            assert await anext(changes) == Change(somebody, None)


async def test_after_a_lost_connection_it_listens_again_and_says_that_it_was_deaf(store, make, admin):
    instance = await make(State.SUSPENDED)
    async with aclosing(store.changes()) as changes:
        assert await anext(changes) is None
        await admin.execute(f"select pg_terminate_backend(pid) from ({LISTENERS}) listeners")
        assert await anext(changes) is None
        await store.move(instance.user_id, State.SUSPENDED, Event.WAKE, actor="other")
        assert await anext(changes) == Change(instance.user_id, State.WAKING)


async def test_everybody_here_hears_on_one_connection_what_they_listen_to(database, clock, admin):
    """Each connection that listens is woken by every NOTIFY, and Supabase counts them."""
    announced = Announcements(database.dsn, clock)
    async with aclosing(announced.hear("tides")) as one, aclosing(announced.hear("winds")) as other:
        assert (await anext(one), await anext(other)) == (None, None)
        async with aclosing(announced.hear("tides")) as late:
            assert await anext(late) is None
            assert await admin.fetchval(f"select count(*) from ({LISTENERS}) listeners") == 1
            await admin.execute("select pg_notify('tides', 'high'), pg_notify('winds', 'north')")
            assert (await anext(one), await anext(late), await anext(other)) == ("high", "high", "north")
        await admin.execute("select pg_notify('tides', 'low')")
        assert await anext(one) == "low"
        await admin.execute(f"select pg_terminate_backend(pid) from ({LISTENERS}) listeners")
        assert (await anext(one), await anext(other)) == (None, None)
        await admin.execute("select pg_notify('winds', 'south')")
        assert await anext(other) == "south"


async def test_what_nobody_listens_to_any_more_is_not_listened_to(database, clock, admin):
    """An operator closed the live log: the audit rows of all need not be called out to this replica."""
    announced = Announcements(database.dsn, clock)
    channels = "select query from pg_stat_activity where query ~* '^(un)?listen' and datname = current_database()"
    async with aclosing(announced.hear("tides")) as one:
        assert await anext(one) is None
        async with aclosing(announced.hear("winds")) as other:
            assert await anext(other) is None
            assert "winds" in await admin.fetchval(channels)
        async with aclosing(announced.hear("tides")) as late:
            assert await anext(late) is None  # who left is seen to before who came
            assert await admin.fetchval(channels) == 'UNLISTEN "winds"'
        await admin.execute("select pg_notify('tides', 'high')")
        assert await anext(one) == "high"


async def test_a_fault_of_our_own_is_survived_too(database, clock, admin, monkeypatch):
    """Who stopped listening for good would serve from a memory that nobody corrects."""
    announced, listens = Announcements(database.dsn, clock), Announcements._listen

    async def breaks_once(self, connection):
        monkeypatch.setattr(Announcements, "_listen", listens)
        raise KeyError("a bug")

    monkeypatch.setattr(Announcements, "_listen", breaks_once)
    async with aclosing(announced.hear("tides")) as one, asyncio.timeout(10):
        with capture_logs() as logs:
            assert await anext(one) is None
        assert [(each["event"], each["error"]) for each in logs] == [("listen_lost", "KeyError")]
        await admin.execute("select pg_notify('tides', 'high')")
        assert await anext(one) == "high"


async def test_who_comes_back_after_the_last_has_left_is_heard_again(database, clock, admin):
    announced = Announcements(database.dsn, clock)
    for _ in range(2):
        async with aclosing(announced.hear("tides")) as one:
            assert await anext(one) is None
            await admin.execute("select pg_notify('tides', 'high')")
            assert await anext(one) == "high"


async def test_while_the_database_is_away_it_keeps_trying(database, clock, admin):
    """A failover takes minutes; nobody restarts the gateway for it."""
    async with aclosing(Announcements(database.dsn, clock).hear("anything")) as words:
        assert await anext(words) is None
        with capture_logs() as logs:
            await admin.execute("alter role gateway nologin")
            try:
                await admin.execute(f"select pg_terminate_backend(pid) from ({LISTENERS}) listeners")
                again = asyncio.ensure_future(anext(words))
                while len(logs) < 3:
                    await clock.advance(seconds=10)
                    await asyncio.sleep(0.01)
            finally:
                await admin.execute("alter role gateway login")
        assert {each["event"] for each in logs} == {"listen_failed"}
        while not again.done():
            await clock.advance(seconds=10)
            await asyncio.sleep(0.01)
        assert await again is None


async def test_cancelling_the_listener_leaves_no_connection_behind(store, admin):
    heard = asyncio.Event()

    async def follow():
        async with aclosing(store.changes()) as changes:
            async for _ in changes:
                heard.set()

    task = asyncio.create_task(follow())
    await heard.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while await admin.fetch(LISTENERS):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_session_that_ends_is_called_out_by_the_hash_of_its_id(database, clock):
    connection = await asyncpg.connect(database.dsn)
    async with aclosing(Announcements(database.dsn, clock).hear("session_ended")) as words:
        assert await anext(words) is None
        await connection.execute(
            "insert into gateway.sessions (id_hash, user_id, email, access_token, refresh_token, access_expires_at,"
            " claims, expires_at) values (sha256('1'), gen_random_uuid(), '', '', '', now(), '{}', now())"
        )
        await connection.execute("delete from gateway.sessions")
        assert await anext(words) == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    await connection.close()
