"""One Postgres for all tests of a process, a fresh database for each, and a folder for systems that run their own."""

import asyncio
import atexit
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import count
from pathlib import Path

import asyncpg

from localcloud.database import Database, embedded_postgres
from provisioner.store.migrate import migrate
from tests.parts.used_database import Untouched, look, wipe

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running Postgres. Its database `postgres` is migrated, `bare` only bootstrapped: the moulds of all others."""

    home: Database = field(repr=False)
    _used: list[tuple[str, Untouched]] = field(default_factory=list, repr=False)
    """Databases that are as new, by name."""

    @asynccontextmanager
    async def clean(self) -> AsyncIterator[Database]:
        """As `fresh` gives one, but another test may have had it before: nothing of that is left."""
        if self._used:
            name, untouched = self._used.pop()
        else:
            name = await self._make("postgres")
            admin = await asyncpg.connect(_at(self.home, name).admin_dsn)
            untouched = await look(admin)
            await admin.close()
        again = None
        try:
            yield _at(self.home, name)
            admin = await asyncpg.connect(_at(self.home, name).admin_dsn)
            try:
                again = await wipe(admin, untouched)
            finally:
                await admin.close()
        finally:
            if again is None:
                await self._drop(name)
            else:
                self._used.append((name, again))

    @asynccontextmanager
    async def fresh(self, *, mould: str = "postgres") -> AsyncIterator[Database]:
        """A database of its own, owned by `postgres` as a hosted one is; dropped afterwards, whoever still looks."""
        name = await self._make(mould)
        try:
            yield _at(self.home, name)
        finally:
            await self._drop(name)

    async def _make(self, mould: str) -> str:
        name = f"test_{next(_numbers)}"
        # Copying files is quicker here than the default, which writes every page to the log.
        await self._order(f"create database {name} template {mould} owner postgres strategy file_copy")
        return name

    async def _drop(self, name: str) -> None:
        await self._order(f"drop database {name} with (force)")

    async def _order(self, statement: str) -> None:
        admin = await asyncpg.connect(_at(self.home, "template1").admin_dsn)
        try:
            await admin.execute(statement)
        finally:
            await admin.close()


@asynccontextmanager
async def postgres_server() -> AsyncIterator[Server]:
    """A Postgres in a temporary folder, with the moulds in it."""
    folder = _temporary("postgres")
    try:
        lay_out(folder / "data")
        async with embedded_postgres(folder / "data", durable=False) as home:
            yield Server(home)
    finally:
        shutil.rmtree(folder)


def lay_out(data_dir: Path) -> None:
    """Make `data_dir` what `embedded_postgres` and `migrate` leave there when a system first starts.

    A copy is seconds of a core cheaper than a new cluster and all migrations. Whoever runs on it does not wait for the
    disk, as no test's Postgres does: only when this computer crashes may data be lost.
    """
    mould = _mould()
    data_dir.mkdir()
    for part in ("passwords.json", "bootstrapped", "cluster"):
        # cp: the cluster's files belong to whoever Postgres runs as, and shutil gives away no copy.
        subprocess.run(["cp", "-a", str(mould / part), str(data_dir / part)], check=True)


@cache
def _mould() -> Path:
    """The folder that `lay_out` copies: made once in a process, gone with it or by `clear_away`."""
    folder = _temporary("mould")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    async def first_start() -> None:
        async with embedded_postgres(folder, durable=False) as home:
            admin = await asyncpg.connect(_at(home, "template1").admin_dsn)
            await admin.execute("create database bare template postgres owner postgres")
            await admin.close()
            await migrate(home.owner_dsn)

    with ThreadPoolExecutor() as elsewhere:  # this thread may have an event loop
        elsewhere.submit(asyncio.run, first_start()).result()
    with (folder / "cluster" / "postgresql.auto.conf").open("a") as settings:
        settings.writelines(f"{setting} = off\n" for setting in ("fsync", "synchronous_commit", "full_page_writes"))
    return folder


def clear_away() -> None:
    """At the end of the tests: a worker of theirs ends without a chance to do anything else."""
    if _mould.cache_info().currsize:
        shutil.rmtree(_mould())
        _mould.cache_clear()


def _temporary(name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"jarvis-{name}-"))
    # As root it is run by somebody else, who in Postgres 15 has to walk here.
    folder.chmod(0o755)
    return folder


def _at(database: Database, name: str) -> Database:
    """The same server and roles, the database `name`."""
    dsns = {each.name: getattr(database, each.name) for each in fields(database)}
    return Database(**{role: dsn.replace("/postgres?", f"/{name}?") for role, dsn in dsns.items()})
