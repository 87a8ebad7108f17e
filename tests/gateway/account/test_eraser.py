"""The end of an account: in an order in which nothing that was begun meanwhile is left."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from gateway.account.book import Book
from gateway.account.eraser import Eraser
from localcloud.database import Database
from provisioner.instance import UserId
from provisioner.store.database import connect, queries
from tests.parts.clock import ManualClock

ADA = UserId(uuid4())


class Cloud:
    """Her Machines. One more is begun while her sign-in is being deleted: a request was on its way."""

    may_delete = True

    def __init__(self) -> None:
        self.machines = {"the one she had"}

    async def destroy(self, user_id: UserId, *, actor: str) -> None:
        self.machines.clear()

    async def delete_user(self, user_id: UUID) -> None:
        self.machines.add("begun a moment too late")


async def test_a_machine_that_was_begun_meanwhile_goes_too(database: Database) -> None:
    cloud: Any = Cloud()
    clock = ManualClock()
    async with connect(database.dsn) as pool:
        eraser = Eraser(Book(pool, queries("account")), cloud, cloud, clock)
        await eraser.ask(ADA, "ada@example.com")
        assert await eraser.one()
        assert not await eraser.one()
    assert cloud.machines == set()


async def test_what_was_written_while_it_was_asked_for_is_not_left(database: Database) -> None:
    """A sign-in that had passed every check before: its session, its token, and whatever else names her."""
    clock = ManualClock()
    now, later = clock.now(), clock.now() + timedelta(days=1)
    async with connect(database.dsn) as pool:
        book = Book(pool, queries("account"))
        await book.ask_deletion(ADA, "ada@example.com", now=now)
        admin = await asyncpg.connect(database.admin_dsn)
        for statement in (
            "insert into gateway.sessions (id_hash, user_id, email, access_token, refresh_token, access_expires_at,"
            " claims, expires_at) values (sha256('a'), $1, 'ada@example.com', 'a', 'r', $2, '{}', $2)",
            "insert into gateway.access_tokens (id, user_id, email, name, secret_hash, scopes, created_at, expires_at)"
            " values ('t', $1, 'ada@example.com', 'n', sha256('t'), '{app}', $2, $2)",
            "insert into gateway.visits (user_id, operator, reason, minutes, ticket_hash, granted_at, open_until)"
            " values ($1, 'sam', 'to help', 5, sha256('v'), $2, $2)",
            "insert into gateway.closed_doors (user_id, closed_at) values ($1, $2)",
            "insert into gateway.signups (user_id, email, status, created_at)"
            " values ($1, 'ada@example.com', 'waiting', $2)",
        ):
            await admin.execute(statement, ADA, later)
        await book.finish_deletion(ADA, detail={}, now=now)
        for table in ("sessions", "access_tokens", "visits", "closed_doors", "signups"):
            left = await admin.fetchval(f"select count(*) from gateway.{table} where user_id = $1", ADA)
            assert left == 0, table
        assert await admin.fetchval("select email from gateway.deletions where user_id = $1", ADA) is None
        await admin.close()
