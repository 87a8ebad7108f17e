"""A true store on a true Postgres, and rows to begin with."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from localcloud.database import Database
from provisioner.instance import Instance, State, UserId
from provisioner.store.changes import Announcements
from provisioner.store.database import connect
from provisioner.store.postgres import PostgresStore
from tests.parts.clock import ManualClock

Make = Callable[..., Awaitable[Instance]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Any]:
    async with connect(database.dsn) as pool:
        yield pool


@pytest.fixture
def store(pool: Any, clock: ManualClock, database: Database) -> PostgresStore:
    """As the plain role `gateway`."""
    return PostgresStore(pool, clock, announced=Announcements(database.dsn, clock))


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[Any]:
    """A connection as superuser, to look at and to set what the store would not."""
    connection = await asyncpg.connect(database.admin_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def make(store: PostgresStore, admin: Any) -> Make:
    """Make an Instance that is in `state` already, with a Machine unless it never got one."""

    async def instance_in(state: State = State.PROVISIONING, **columns: object) -> Instance:
        user_id = UserId(uuid4())
        name = f"jarvis-test-{user_id.hex[:12]}"
        await store.create(
            user_id,
            email="ada@example.com",
            app_name="jarvis",
            machine_name=name,
            region="fra",
            image="golden@sha256:0",
            actor="test",
        )
        if state is not State.PROVISIONING:
            columns = {"machine_id": name, "volume_id": f"vol_{name}", "private_ip": "fdaa::3", **columns}
        for column, value in {"state": state, **columns}.items():
            if column != "state":
                await admin.execute(f"update user_instances set {column} = $2 where user_id = $1", user_id, value)
        await admin.execute("update user_instances set state = $2 where user_id = $1", user_id, state)
        made = await store.find(user_id)
        assert made is not None
        return made

    return instance_in
