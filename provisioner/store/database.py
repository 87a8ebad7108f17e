"""The door to Postgres: a pool of connections, and queries by name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import Any, Final

import aiosql
import asyncpg
import structlog

from provisioner.clock import Clock

RELEASE_S: Final = 1.0
"""In which a connection has to be free again after its use, or after a query that was given up. Else it is closed."""
log = structlog.get_logger(__name__)


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """One that goes back to the pool at once: without asyncpg's own query then, a statement is one round trip, not two.

    For that nothing that a query of ours does may outlive its transaction: no setting, lock or LISTEN of the session (a
    test reads them all). An open transaction is rolled back as ever.
    """

    def get_reset_query(self) -> str:
        return ""


class Pool(asyncpg.Pool):  # type: ignore[misc]
    """Whoever gives up a query is free RELEASE_S later, also while Postgres takes connections and says nothing.

    asyncpg waits until the server has confirmed that a query was cancelled, at most for `command_timeout`: then every
    timeout of ours would be longer by that.
    """

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:
        try:
            await super().release(connection, timeout=RELEASE_S if timeout is None else timeout)
        except TimeoutError:
            log.warning("database_connection_given_up")  # asyncpg has closed it; another is made when one is needed


@asynccontextmanager
async def connect(
    dsn: str, *, max_size: int = 8, statement_cache_size: int = 100, command_timeout: float = 10.0
) -> AsyncIterator[Any]:
    """An open `asyncpg.Pool`, closed when the context ends.

    One connection is made at once, so a wrong DSN is known at start; more as needed, `max_size` at most (each
    replica takes this many of the database's few). `statement_cache_size=0` is for a transaction pooler, which hands
    every transaction to another server process; statements are then parsed anew each time.
    `command_timeout` in seconds.
    """
    async with Pool(
        dsn,
        connection_class=Connection,
        record_class=asyncpg.Record,
        loop=None,
        max_queries=50_000,  # this and the next as asyncpg.create_pool has them
        max_inactive_connection_lifetime=300.0,
        min_size=1,
        max_size=max_size,
        statement_cache_size=statement_cache_size,
        command_timeout=command_timeout,
    ) as pool:
        yield pool


@asynccontextmanager
async def connection_to(dsn: str, *, within_s: float = 5.0) -> AsyncIterator[Any]:
    """One connection of its own, beside any pool; `within_s` for making it, and for each statement."""
    connection = await asyncpg.connect(dsn, timeout=within_s, command_timeout=within_s)
    try:
        yield connection
    finally:
        connection.terminate()


@cache
def queries(subject: str) -> Any:
    """The named queries of `sql/queries/<subject>.sql`, to be called with a pool or connection and named values.

    As aiosql marks them: `name^` gives one row or None, `name$` one value, `name!` nothing, plain `name` an
    asynchronous iterator of rows.
    """
    sql = (files("sql") / "queries" / f"{subject}.sql").read_text(encoding="utf-8")
    return aiosql.from_str(sql, "asyncpg")


class Tables:
    """What each part of the store works with."""

    def __init__(self, pool: Any, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
