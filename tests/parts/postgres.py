"""One Postgres for all tests of a process, and a fresh database for each."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from itertools import count
from pathlib import Path

import asyncpg

from localcloud.database import Database, embedded_postgres
from provisioner.store.migrate import migrate

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running Postgres. Its database `postgres` stays as bootstrapped; `migrated` is the mould of all others."""

    home: Database = field(repr=False)

    @asynccontextmanager
    async def fresh(self, *, mould: str = "migrated") -> AsyncIterator[Database]:
        """A database of its own, owned by `postgres` as a hosted one is; dropped afterwards, whoever still looks."""
        name = f"test_{next(_numbers)}"
        admin = await asyncpg.connect(_at(self.home, "template1").admin_dsn)
        try:
            # Copying files is quicker here than the default, which writes every page to the log.
            await admin.execute(f"create database {name} template {mould} owner postgres strategy file_copy")
            try:
                yield _at(self.home, name)
            finally:
                await admin.execute(f"drop database {name} with (force)")
        finally:
            await admin.close()


@asynccontextmanager
async def postgres_server() -> AsyncIterator[Server]:
    """A Postgres in a temporary folder, with the mould made."""
    folder = Path(tempfile.mkdtemp(prefix="jarvis-postgres-"))
    # As root it is run by somebody else, who in Postgres 15 has to walk here.
    folder.chmod(0o755)  # noqa: ASYNC240
    try:
        async with embedded_postgres(folder, durable=False) as home:
            admin = await asyncpg.connect(_at(home, "template1").admin_dsn)
            await admin.execute("create database migrated template postgres owner postgres")
            await admin.close()
            await migrate(_at(home, "migrated").owner_dsn)
            yield Server(home)
    finally:
        shutil.rmtree(folder)


def _at(database: Database, name: str) -> Database:
    """The same server and roles, the database `name`."""
    dsns = {each.name: getattr(database, each.name) for each in fields(database)}
    return Database(**{role: dsn.replace("/postgres?", f"/{name}?") for role, dsn in dsns.items()})
