"""A database that another test had before is as good as a new one, or is not given again."""

from collections.abc import Sequence
from uuid import uuid4

import asyncpg
import pytest

from localcloud.database import Database
from tests.parts.postgres import Server

ROWS = (
    "insert into auth.users (id, email) values ('{id}', 'ada@example.com')",
    "insert into gateway.audit_log (actor, action, detail) values ('test', 'x', jsonb_build_object('a', 'b'))",
    "insert into gateway.audit_log (actor, action, detail)"
    " select 'test', 'long', jsonb_build_object('a', string_agg(md5(n::text), '')) from generate_series(1, 999) n",
    "begin; insert into gateway.audit_log (actor, action) values ('test', 'gone'); rollback",
    "update gateway.switches set is_on = true, message = 'x'",
    "update supabase_migrations.schema_migrations set name = 'x'",
    "analyze",
)
MORE_THAN_ROWS = (
    "create table public.left_over (id int)",
    "alter table public.user_instances disable row level security",
    "create function public.left_over() returns int language sql as 'select 1'",
    "drop trigger if exists x on public.user_instances; comment on table public.user_instances is 'x'",
    "grant select on public.user_instances to anon",
    "truncate gateway.switches",
)
CONTENTS = """
select format('%I.%I', schemaname, relname) as name from pg_stat_user_tables
where schemaname <> 'information_schema' order by 1
"""


async def contents(database: Database) -> tuple[dict[str, str], list[tuple[str, int | None]]]:
    """Every row of every table, and where each sequence is."""
    admin = await asyncpg.connect(database.admin_dsn)
    try:
        names = [row["name"] for row in await admin.fetch(CONTENTS)]
        rows = {
            n: await admin.fetchval(f"select coalesce(string_agg(t::text, '|' order by t::text), '') from {n} t")
            for n in names
        }
        places = await admin.fetch("select sequencename, last_value from pg_sequences order by 1")
        return rows, [tuple(place) for place in places]
    finally:
        await admin.close()


async def do(database: Database, statements: Sequence[str]) -> None:
    admin = await asyncpg.connect(database.admin_dsn)
    for statement in statements:
        await admin.execute(statement.format(id=uuid4()))
    await admin.close()


async def test_rows_go_and_numbers_begin_again(postgres: Server) -> None:
    async with postgres.fresh() as new:
        as_new = await contents(new)
    async with postgres.clean() as first:
        await do(first, ROWS)
        assert await contents(first) != as_new
        left = await asyncpg.connect(first.dsn)  # and does not close it
    async with postgres.clean() as second:
        assert second.dsn == first.dsn
        assert left.is_closed()
        assert await contents(second) == as_new
    async with postgres.clean() as third:
        assert third.dsn == first.dsn


@pytest.mark.parametrize("statement", MORE_THAN_ROWS)
async def test_whatever_else_was_changed_is_not_given_again(postgres: Server, statement: str) -> None:
    async with postgres.clean() as changed:
        await do(changed, [statement])
    async with postgres.clean() as other:
        assert other.dsn != changed.dsn
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(changed.dsn)


async def test_two_at_a_time_are_two_and_who_fails_gives_none_back(postgres: Server) -> None:
    async with postgres.clean() as one, postgres.clean() as two:
        assert one.dsn != two.dsn
    with pytest.raises(ValueError, match="in the test"):
        async with postgres.clean() as failed:
            raise ValueError("in the test")
    async with postgres.clean() as next_one:
        assert next_one.dsn != failed.dsn
