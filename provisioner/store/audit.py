"""The audit log in Postgres: read as a chain, listed, pruned."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from provisioner.audit import GENESIS, Entry, Head, Walk
from provisioner.instance import UserId
from provisioner.store.database import queries

_queries: Final = queries("audit")
BATCH: Final = 5_000
PRUNED_AT_ONCE: Final = 5_000
"""Nobody can append while rows go, so they go in bites."""


async def verify(pool: Any, *, known: Iterable[Head] = ()) -> Head:
    """Walk the whole chain as it is now; its last row. Raises `provisioner.audit.Broken` at the first that is wrong.

    Appending goes on meanwhile. `known` are heads noted earlier that must still be on it.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        pruned = await _queries.audit_start(connection)
        start = Head(0, GENESIS) if pruned is None else Head(pruned["id"], bytes(pruned["hash"]))
        written = await _queries.audit_head(connection)
        walk = Walk(start, known=[head for head in known if head.id > start.id])
        while rows := [row async for row in _queries.audit_entries(connection, after=walk.head.id, most=BATCH)]:
            walk.follow(_entry(row) for row in rows)
        walk.end(Head(written["id"], bytes(written["hash"])))
        return walk.head


async def latest(
    pool: Any,
    *,
    user_id: UserId | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int = 100,
) -> Sequence[Entry]:
    """The newest rows first: about one user, not older than `since`, with a number below `before`."""
    rows = _queries.audit_latest(pool, user_id=user_id, since=since, before=before, most=limit)
    return [_entry(row) async for row in rows]


async def following(pool: Any, after: int, *, limit: int) -> Sequence[Entry]:
    """Rows behind number `after`, in order."""
    return [_entry(row) async for row in _queries.audit_entries(pool, after=after, most=limit)]


async def last(pool: Any) -> int:
    """The number of the last row, 0 if there is none."""
    row = await _queries.audit_head(pool)
    return int(row["id"])


async def prune(pool: Any, *, audit_before: datetime, step_times_before: datetime) -> int:
    """Drop what is older; how many audit rows went. The database refuses an `audit_before` of the last 30 days."""
    await _queries.prune_step_times(pool, older_than=step_times_before)
    await queries("awake").prune_vigils(pool, older_than=step_times_before)
    gone = 0
    while bite := await _queries.prune_audit(pool, older_than=audit_before, most=PRUNED_AT_ONCE):
        gone += bite
    return gone


def _entry(row: Any) -> Entry:
    return Entry(**{**dict(row), "hash": bytes(row["hash"])})
