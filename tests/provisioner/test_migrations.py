"""Migrations: they arrive at schema.sql, once, in order, whole or not at all."""

import asyncio
from importlib.resources import files

import asyncpg
import pytest
from structlog.testing import capture_logs

from provisioner.instance import State
from provisioner.store.migrate import Migration, MigrationFailed, migrate, migrations
from tests.parts.catalog import catalog


@pytest.fixture
async def bare(postgres):
    """A database as Supabase hands it over: nothing of ours in it."""
    async with postgres.fresh(mould="bare") as fresh:
        yield fresh


@pytest.fixture
async def owner(bare):
    """A connection as the project's owner, who is no superuser."""
    connection = await asyncpg.connect(bare.owner_dsn)
    yield connection
    await connection.close()


def one(version: str, sql: str) -> Migration:
    return Migration(version=version, name="made_up", sql=sql)


async def test_all_migrations_from_nothing_arrive_at_exactly_the_schema(bare, postgres):
    """schema.sql may be believed: it is what every database has."""
    async with postgres.fresh(mould="bare") as by_hand:
        written = await asyncpg.connect(by_hand.owner_dsn)
        await written.execute((files("sql") / "schema.sql").read_text())
        await migrate(bare.owner_dsn)
        migrated = await asyncpg.connect(bare.owner_dsn)
        try:
            assert await catalog(migrated) == await catalog(written)
            assert len((await catalog(written))["columns"]) > 50
        finally:
            await written.close()
            await migrated.close()


async def test_they_are_recorded_as_supabase_db_push_records_them(owner):
    """An operator may go on with Supabase's own tool, and back."""
    applied = await migrate(owner)
    rows = await owner.fetch("select version, name, statements from supabase_migrations.schema_migrations order by 1")
    assert [row["version"] for row in rows] == applied == [each.version for each in migrations()]
    assert rows[0]["name"] == "instances"
    assert rows[0]["statements"][1].endswith("create schema gateway")
    assert len(applied[0]) == 14


async def test_a_second_run_finds_nothing_to_do(owner):
    assert await migrate(owner)
    assert await migrate(owner) == []


async def test_two_replicas_that_start_at_once_apply_everything_once(bare):
    first, second = await asyncio.gather(migrate(bare.owner_dsn), migrate(bare.owner_dsn))
    assert sorted(first + second) == [each.version for each in migrations()]


async def test_history_with_columns_of_a_newer_tool_is_understood(owner):
    await owner.execute("create schema supabase_migrations")
    await owner.execute(
        "create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text,"
        " created_by text, idempotency_key text unique)"
    )
    assert len(await migrate(owner)) == len(migrations())


async def test_what_supabase_applied_is_not_applied_again(owner):
    """`supabase db push` came first."""
    await migrate(owner, [one("20250101000000", "select 1")])
    assert await migrate(owner, [one("20250101000000", "select 1/0"), one("20250102000000", "select 2")]) == [
        "20250102000000"
    ]


async def test_one_that_fails_leaves_nothing_of_itself_and_all_before_it(owner):
    """Half a migration is worse than none."""
    good = one("20250101000000", "create table public.kept (x int)")
    bad = one("20250102000000", "create table public.half (x int); select 1/0;")
    with pytest.raises(MigrationFailed, match=r"20250102000000.*division by zero") as failure:
        await migrate(owner, [good, bad])
    assert failure.value.version == "20250102000000"
    assert isinstance(failure.value.__cause__, asyncpg.DivisionByZeroError)
    assert await owner.fetchval("select to_regclass('public.kept')") == "kept"
    assert await owner.fetchval("select to_regclass('public.half')") is None
    mended = one("20250102000000", "create table public.half (x int)")
    assert await migrate(owner, [good, mended]) == ["20250102000000"]


async def test_the_plain_role_may_not_migrate_and_is_told_so(bare):
    with pytest.raises(MigrationFailed, match="permission denied"):
        await migrate(bare.dsn)


async def test_versions_that_we_do_not_know_are_a_warning(owner):
    """An older release rolled back onto a newer schema still runs: migrations only add."""
    await migrate(owner, [one("20250101000000", "select 1")])
    with capture_logs() as logs:
        await migrate(owner, [one("20250102000000", "select 1")])
    assert {"event": "migrations_unknown", "versions": ["20250101000000"], "log_level": "warning"} in logs


async def test_the_database_knows_exactly_the_states_of_the_life(database):
    connection = await asyncpg.connect(database.admin_dsn)
    law = await connection.fetchval(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'user_instances_state_known'"
    )
    await connection.close()
    assert {word for word in law.split("'") if word.isalpha()} - {"text"} == set(State)
