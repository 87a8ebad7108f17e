"""What a test left in its database, and how that goes: a new database for every test is a third of a second of a core.

Postgres counts the rows that were written in each table, catalogs too. So it is known what a test changed: rows are
deleted again, and a database of which anything else was changed is not used a second time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_COUNTERS: Final = """
select s.relid::int8 as table_id, s.schemaname in ('pg_catalog', 'pg_toast') as catalog,
       format('%I.%I', s.schemaname, s.relname) as name, s.n_tup_ins + s.n_tup_upd + s.n_tup_del as written
from pg_stat_all_tables s join pg_class c on c.oid = s.relid
where not c.relisshared
  and c.relname not like 'pg_statistic%'  -- the planner's, written by autovacuum when it likes
"""
_TOAST: Final = "select oid::int8 from pg_class where relkind = 't' and relnamespace = 'pg_toast'::regnamespace"
_SEQUENCES: Final = (
    "select format('%I.%I', schemaname, sequencename) as name, last_value, start_value from pg_sequences"
)
_OTHERS: Final = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
_END_OTHERS: Final = f"select pg_terminate_backend(pid, 10000) from ({_OTHERS}) others"
"""Waits for them, for so many milliseconds: who has ended has told its counts."""


@dataclass(frozen=True, slots=True)
class Untouched:
    """How a database was before anybody used it. The same for all from one mould, but for `written`."""

    written: Mapping[int, int]
    """By table, how often a row of it was written."""
    seeds: Mapping[str, str]
    """By table, the rows that it has to begin with, as JSON."""
    sequences: Mapping[str, int | None]
    """Their last values; None: never asked."""


async def look(admin: Any) -> Untouched:
    """As it is now. `admin`: a superuser's connection to it."""
    tables = [row["name"] for row in await admin.fetch(_COUNTERS) if not row["catalog"]]
    seeds = {name: await admin.fetchval(f"select jsonb_agg(to_jsonb(t))::text from {name} t") for name in tables}
    sequences = {row["name"]: row["last_value"] for row in await admin.fetch(_SEQUENCES)}
    return Untouched(await _written(admin), {name: rows for name, rows in seeds.items() if rows}, sequences)


async def wipe(admin: Any, before: Untouched) -> Untouched | None:
    """End whoever still looks and make the database what it was; None if that takes a new one."""
    await admin.execute(_END_OTHERS)
    changed = [row for row in await admin.fetch(_COUNTERS) if row["written"] != before.written.get(row["table_id"], 0)]
    names = [row["name"] for row in changed if not row["catalog"]]
    if not await _only_rows(admin, changed):
        return None
    async with admin.transaction():
        await admin.execute("set local session_replication_role = replica")  # no trigger, no foreign key
        await admin.execute("set local gateway.pruning = on")  # the log's own trigger is always on
        for name in names:
            await admin.execute(f"delete from {name}")
            if rows := before.seeds.get(name):
                again = f"select * from jsonb_populate_recordset(null::{name}, $1)"
                await admin.execute(f"insert into {name} overriding system value {again}", rows)
        for row in await admin.fetch(_SEQUENCES):
            if row["last_value"] != (known := before.sequences[row["name"]]):
                value = row["start_value"] if known is None else known
                await admin.execute("select setval($1::text::regclass, $2, $3)", row["name"], value, known is not None)
    if await admin.fetchval(_OTHERS):
        return None  # who comes back at once might write in the next test
    return Untouched(await _written(admin), before.seeds, before.sequences)


async def _only_rows(admin: Any, changed: list[Any]) -> bool:
    """Whether no catalog is among `changed`. A long value of a row is in a table of its own beside the catalogs."""
    catalogs = {row["table_id"] for row in changed if row["catalog"]}
    return not catalogs or catalogs <= {row["oid"] for row in await admin.fetch(_TOAST)}


async def _written(admin: Any) -> dict[int, int]:
    await admin.execute("select pg_stat_force_next_flush()")
    return {row["table_id"]: row["written"] for row in await admin.fetch(_COUNTERS) if row["written"]}
