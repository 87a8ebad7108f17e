"""How long steps usually take, and the audit log that nobody can rewrite."""

from uuid import uuid4

import asyncpg
import pytest

from provisioner.instance import UserId
from provisioner.ports import Usual
from provisioner.store.journal import DROP_EVERY


async def test_usual_is_the_median_and_what_nearly_all_keep_by_path_and_step(store, clock):
    for took in (1.0, 9.0, 2.0):
        await store.journal(uuid4(), path="resume", steps={"start": took, "probe": took / 10})
        await clock.advance(seconds=1)
    await store.journal(uuid4(), path="provision", steps={"volume": 4.0})
    assert await store.usual() == {
        ("resume", "start"): Usual(2.0, pytest.approx(8.3)),
        ("resume", "probe"): Usual(pytest.approx(0.2), pytest.approx(0.83)),
        ("provision", "volume"): Usual(4.0, 4.0),
    }


async def test_only_the_latest_two_hundred_runs_of_a_path_count(store, clock):
    """A slow week in spring does not make the bar slow in summer."""
    for took in (60.0,) * 150 + (1.0,) * 200:
        await store.journal(uuid4(), path="resume", steps={"start": took})
        await clock.advance(seconds=1)
    assert await store.usual() == {("resume", "start"): Usual(1.0, 1.0)}


async def test_nothing_written_yet_is_no_error(store):
    assert await store.usual() == {}


async def test_old_times_are_dropped_so_that_the_table_stays_small(store, admin, clock):
    await admin.execute(
        "insert into gateway.step_times select gen_random_uuid(), 'resume', 'start', 1, timestamptz '2020-01-01'"
        " + n * interval '1 second' from generate_series(1, 3000) n"
    )
    for _ in range(2 * DROP_EVERY):
        await store.journal(uuid4(), path="resume", steps={"start": 1.0})
        await clock.advance(seconds=1)
        assert await admin.fetchval("select count(*) from gateway.step_times") <= 2001 + DROP_EVERY


async def test_what_is_done_without_a_step_is_written_down_too(store, admin):
    ada = UserId(uuid4())
    await store.append_audit("operator", "export", ada, {"files": 3})
    await store.append_audit("rollout", "halt", None)
    rows = await admin.fetch("select actor, action, user_id, detail from gateway.audit_log order by id")
    assert [tuple(row) for row in rows] == [
        ("operator", "export", ada, '{"files": 3}'),
        ("rollout", "halt", None, "{}"),
    ]


@pytest.mark.parametrize("change", ["update gateway.audit_log set actor = 'x'", "delete from gateway.audit_log"])
@pytest.mark.parametrize("role", ["dsn", "owner_dsn", "admin_dsn"])
async def test_nobody_rewrites_the_audit_log(store, database, role, change):
    """Not the gateway, not the project's owner, not even a superuser by accident."""
    await store.append_audit("operator", "export", None)
    connection = await asyncpg.connect(getattr(database, role))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(change)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("truncate gateway.audit_log")
        assert await connection.fetchval("select count(*) from gateway.audit_log") == 1
    finally:
        await connection.close()


async def test_replication_mode_silences_no_law(store, admin):
    await store.append_audit("operator", "export", None)
    await admin.execute("set session_replication_role = replica")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append only"):
        await admin.execute("delete from gateway.audit_log")
