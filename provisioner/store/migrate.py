"""Bring a database to the schema in `sql/`, forward only."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import asyncpg
import structlog

from provisioner.store.statements import statements

log = structlog.get_logger(__name__)

_FILE_NAME: Final = re.compile(r"(?P<version>\d{14})_(?P<name>\w+)\.sql")

_LOCK: Final = 4_711_202_611  # any number, the same in every replica

# The very table of `supabase db push`, so that either tool knows what the other did. Newer releases of it add
# columns of their own (who, under which key); all of those may stay empty.
_HISTORY: Final = (
    "create schema if not exists supabase_migrations",
    "create table if not exists supabase_migrations.schema_migrations (version text not null primary key)",
    "alter table supabase_migrations.schema_migrations add column if not exists statements text[]",
    "alter table supabase_migrations.schema_migrations add column if not exists name text",
)


class MigrationFailed(Exception):
    """A migration was refused and rolled back whole; those before it stay. `__cause__` has Postgres's words."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(f"migration {version}: {reason}")
        self.version = version


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of `sql/migrations`. Versions are UTC timestamps, so their order is that of the alphabet."""

    version: str
    name: str
    sql: str


def migrations(folder: Traversable | None = None) -> list[Migration]:
    """All that `folder` has (ours by default), oldest first. A file not named `<14 digits>_name.sql` is an error."""
    found = []
    for file in (folder or files("sql") / "migrations").iterdir():
        if not file.name.endswith(".sql"):
            continue
        name = _FILE_NAME.fullmatch(file.name)
        if name is None:
            raise ValueError(f"{file.name}: a migration is named <YYYYMMDDHHMMSS>_<name>.sql")
        found.append(Migration(version=name["version"], name=name["name"], sql=file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.version)


def known_versions() -> list[str]:
    """The versions of ours, oldest first."""
    return [migration.version for migration in migrations()]


async def migrate(target: str | Any, wanted: list[Migration] | None = None) -> list[str]:
    """Apply what is missing, in order; the versions applied now.

    `target` is a DSN or an open asyncpg connection, of the role that shall own the schema (hosted: `postgres`). Each
    migration is one transaction under an advisory lock of the whole database: of two at once, one applies it and
    the other waits and finds it done. So nothing that refuses to run in a transaction can be in a migration.

    Raises:
        MigrationFailed: it was rolled back; asking again after mending the cause goes on from there.
    """
    wanted = migrations() if wanted is None else wanted
    applied = []
    async with _connection(target) as connection:
        for migration in wanted:
            try:
                if await _apply(connection, migration):
                    applied.append(migration.version)
                    log.info("migration_applied", version=migration.version, name=migration.name)
            except asyncpg.PostgresError as refused:
                raise MigrationFailed(migration.version, f"{migration.name}: {refused}") from refused
        await _warn_of_strangers(connection, {migration.version for migration in wanted})
    return applied


async def _apply(connection: Any, migration: Migration) -> bool:
    """Apply and record one migration, False if somebody did already."""
    async with connection.transaction():
        # Held to the end of the transaction and by nothing else, so it works through a transaction pooler too.
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        if await connection.fetchval("select to_regclass('supabase_migrations.schema_migrations') is null"):
            for statement in _HISTORY:
                await connection.execute(statement)
        known = "select exists (select from supabase_migrations.schema_migrations where version = $1)"
        if await connection.fetchval(known, migration.version):
            return False
        parts = statements(migration.sql)
        for statement in parts:
            await connection.execute(statement)
        record = "insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)"
        await connection.execute(record, migration.version, migration.name, parts)
        return True


async def _warn_of_strangers(connection: Any, ours: set[str]) -> None:
    """Say which recorded versions we do not know: an older release on a newer schema, or a project's own tables."""
    rows = await connection.fetch("select version from supabase_migrations.schema_migrations order by version")
    unknown = [row["version"] for row in rows if row["version"] not in ours]
    if unknown:
        log.warning("migrations_unknown", versions=unknown)


@asynccontextmanager
async def _connection(target: str | Any) -> AsyncIterator[Any]:
    """`target` itself, or a connection of our own, closed afterwards."""
    if not isinstance(target, str):
        yield target
        return
    # No statement cache: through a transaction pooler the next statement may meet another server process.
    connection = await asyncpg.connect(target, statement_cache_size=0)
    try:
        yield connection
    finally:
        await connection.close()
