"""The pool, and queries by name."""

import asyncio
import re
from importlib.resources import files

import asyncpg
import pytest

from provisioner.errors import Moved
from provisioner.instance import Event, State
from provisioner.store.changes import Announcements
from provisioner.store.database import connect, queries
from provisioner.store.postgres import PostgresStore
from tests.parts.line import line_to

SUBJECTS = sorted(file.name.removesuffix(".sql") for file in (files("sql") / "queries").iterdir())


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_every_named_query_is_understood_by_postgres(database, subject):
    """A misspelt column is found here and not at night."""
    named = queries(subject)
    connection = await asyncpg.connect(database.dsn)
    try:
        names = [name for name in named.available_queries if not name.endswith("_cursor")]
        for name in names:
            await connection.prepare(getattr(named, name).sql)
        assert names
    finally:
        await connection.close()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_query_leaves_anything_at_its_connection(subject):
    """Nobody cleans up between two who are lent the same one."""
    sql = re.sub(r"--.*", "", (files("sql") / "queries" / f"{subject}.sql").read_text("utf-8")).lower()
    assert re.findall(r"pg_(?:try_)?advisory_lock|\blisten\b|\bdeclare\b|\bprepare\b|temp(?:orary)? table", sql) == []
    assert all(local == "true" for local in re.findall(r"set_config\([^)]*,\s*(\w+)\)", sql))
    assert re.findall(r"(?:^|;)\s*(?:set|reset)\b(?! local)", sql) == []


async def test_a_connection_goes_back_without_a_word_to_postgres_but_never_within_a_transaction(database):
    async with connect(database.dsn, max_size=1) as pool:
        said = []
        async with pool.acquire() as connection:
            server = connection.get_server_pid()
            connection.add_query_logger(lambda told: said.append(told.query))
            await connection.fetchval("select 1")
        assert said == ["select 1"]
        async with pool.acquire() as connection:
            await connection.execute("begin; select set_config('gateway.pruning', 'on', true)")
        async with pool.acquire() as connection:
            assert connection.get_server_pid() == server
            assert not connection.is_in_transaction()
            assert await connection.fetchval("select current_setting('gateway.pruning', true)") in (None, "")


async def test_a_wrong_address_is_known_at_start():
    with pytest.raises(OSError, match="Connect"):
        async with connect("postgresql://nobody@127.0.0.1:1/postgres?sslmode=disable"):
            pass


async def test_the_store_works_without_prepared_statements_too(database, make, clock):
    """A transaction pooler between us and Postgres allows none."""
    instance = await make(State.SUSPENDED)
    async with connect(database.dsn, statement_cache_size=0) as pool:
        store = PostgresStore(pool, clock, announced=Announcements(database.dsn, clock))
        moved = await store.move(instance.user_id, State.SUSPENDED, Event.WAKE, actor="test")
        assert moved.state is State.WAKING
        with pytest.raises(Moved):
            await store.move(instance.user_id, State.SUSPENDED, Event.WAKE, actor="test")


async def test_who_is_cancelled_within_a_query_is_cancelled_and_soon(database):
    """Also when Postgres says nothing any more: the connection is closed, and the next has another one."""
    async with line_to(database) as (line, far), connect(far.dsn, max_size=1, command_timeout=600) as pool:
        assert await pool.fetchval("select 1") == 1
        line.silent = True
        asking = asyncio.ensure_future(pool.fetchval("select 2"))
        for _ in range(20):
            await asyncio.sleep(0)
        asking.cancel()
        async with asyncio.timeout(60):
            with pytest.raises(asyncio.CancelledError):
                await asking
        line.silent = False
        assert await pool.fetchval("select 3") == 3
