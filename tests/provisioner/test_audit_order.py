"""The log's lock is taken last: a statement that waits for another row does not make everybody wait with it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from provisioner.store.database import queries
from tests.parts.system import until


@pytest.mark.parametrize("statement", ["ask_deletion", "finish_deletion", "decide_signup"])
async def test_whoever_waits_for_a_session_holds_up_nobodys_row(store, pool, database, statement: str) -> None:
    """A refresh locks its session for as long as Supabase takes; wakes of others go on."""
    ada, now = uuid4(), datetime.now(UTC)
    await pool.execute(
        "insert into gateway.sessions (id_hash, user_id, email, access_token, refresh_token, access_expires_at, claims,"
        " expires_at) values (sha256('x'), $1, 'a@b.c', '', '', $2, '{}', $2)",
        ada,
        now + timedelta(days=1),
    )
    await pool.execute("insert into gateway.signups (user_id, email, status) values ($1, 'a@b.c', 'admitted')", ada)
    account, signups = queries("account"), queries("signups")
    if statement == "finish_deletion":
        await pool.execute(
            "insert into gateway.deletions (user_id, email, requested_at, next_try_at) values ($1, 'a@b.c', $2, $2)",
            ada,
            now,
        )
    asked = {
        "ask_deletion": lambda: account.ask_deletion(pool, user_id=ada, email="a@b.c", now=now),
        "finish_deletion": lambda: account.finish_deletion(pool, user_id=ada, detail="{}", now=now),
        "decide_signup": lambda: signups.decide_signup(
            pool, user_id=ada, status="suspended", decided_by="operator:x", now=now
        ),
    }[statement]
    refresh = await asyncpg.connect(database.dsn)
    try:
        held = refresh.transaction()
        await held.start()
        await refresh.execute("select from gateway.sessions where user_id = $1 for update", ada)
        waiting = asyncio.ensure_future(asked())
        blocked = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = $1)"
        name = await pool.fetchval("select current_database()")
        await until(lambda: pool.fetchval(blocked, name), what="it waits for the session")
        async with asyncio.timeout(5):
            await store.append_audit("sweeper", "goes on", None)
        await held.rollback()
        await waiting
    finally:
        await refresh.close()
