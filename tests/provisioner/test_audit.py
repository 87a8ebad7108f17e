"""The chain of the audit log: as values, and as Postgres writes it under everybody's hands."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.audit import GENESIS, PRUNED, Broken, Entry, Head, Walk, link
from provisioner.instance import UserId
from provisioner.store.audit import latest, prune, verify
from provisioner.store.migrate import migrate, migrations

AT = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
rows = st.builds(
    Entry,
    id=st.integers(1, 2**60),
    at=st.datetimes(datetime(1999, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    actor=texts,
    action=texts,
    user_id=st.none() | st.uuids().map(UserId),
    from_state=st.none() | texts,
    to_state=st.none() | texts,
    detail=texts,
)


def chain(length: int) -> list[Entry]:
    made: list[Entry] = []
    for number in range(1, length + 1):
        entry = Entry(id=number, at=AT + timedelta(seconds=number), actor="ada", action=f"step {number}")
        made.append(replace(entry, hash=link(made[-1].hash if made else GENESIS, entry)))
    return made


def walked(entries: list[Entry], head: Head | None = None) -> Head:
    walk = Walk()
    walk.follow(entries)
    walk.end(head or Head(entries[-1].id, entries[-1].hash))
    return walk.head


def test_a_whole_chain_holds() -> None:
    entries = chain(5)
    assert walked(entries) == Head(5, entries[-1].hash)


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "eve"},
        {"action": "nothing"},
        {"at": AT},
        {"user_id": UserId(UUID(int=1))},
        {"from_state": ""},
        {"to_state": "active"},
        {"detail": '{"why": "because"}'},
        {"hash": bytes(32)},
    ],
)
def test_a_changed_row_is_named(change: dict[str, object]) -> None:
    entries = chain(5)
    entries[2] = replace(entries[2], **change)  # type: ignore[arg-type]
    with pytest.raises(Broken) as broken:
        walked(entries)
    assert broken.value.id == 3


def test_a_missing_row_is_named() -> None:
    entries = chain(5)
    del entries[2]
    with pytest.raises(Broken) as broken:
        walked(entries)
    assert broken.value.id == 3


def test_a_log_cut_short_is_noticed() -> None:
    entries = chain(5)
    with pytest.raises(Broken) as broken:
        walked(entries[:3], Head(5, entries[4].hash))
    assert broken.value.id == 4


def test_a_log_written_anew_is_found_by_a_head_that_was_noted() -> None:
    """Against the database's owner, who can compute every hash: an auditor's note of one of them is enough."""
    noted = Head(2, b"n" * 32)
    walk = Walk(known=[noted])
    with pytest.raises(Broken) as broken:
        walk.follow(chain(5))
    assert broken.value.id == 2


@given(rows, rows, st.binary(min_size=32, max_size=32))
def test_two_rows_are_never_written_alike(one: Entry, other: Entry, previous: bytes) -> None:
    assert (link(previous, one) == link(previous, other)) == (one == other)


@given(st.lists(texts | st.none(), min_size=2, max_size=2), st.lists(texts | st.none(), min_size=2, max_size=2))
def test_no_text_slides_from_one_field_into_the_next(one: list[str | None], other: list[str | None]) -> None:
    entry = Entry(id=1, at=AT, actor="a", action="b")
    left = replace(entry, from_state=one[0], to_state=one[1])
    right = replace(entry, from_state=other[0], to_state=other[1])
    assert (link(GENESIS, left) == link(GENESIS, right)) == (one == other)


async def test_what_postgres_writes_is_the_chain_that_we_compute(store, pool) -> None:
    """Two independent hands, the same hash: umlauts, nulls, nested details and all."""
    ada = UserId(uuid4())
    await store.append_audit("öpérator:ada 🦉", "export", ada, {"b": [1, 2.50, None], "a": {"ü": "-"}})
    await store.append_audit("", "-", None)
    await store.create(ada, email="a@b.c", app_name="a", machine_name="m", region="fra", image="i", actor="test")
    assert (await verify(pool)).id == 3
    assert [entry.action for entry in await latest(pool, user_id=ada)] == ["create", "export"]


async def test_rows_of_many_at_once_enter_one_by_one(store, pool) -> None:
    """Two hundred writers on eight connections: numbers without gaps, one chain."""
    await asyncio.gather(*(store.append_audit(f"writer {n}", "write", None) for n in range(200)))
    assert (await verify(pool)).id == 200


async def test_what_was_rolled_back_leaves_no_gap(store, pool) -> None:
    await store.append_audit("one", "write", None)
    async with pool.acquire() as connection:
        doomed = connection.transaction()
        await doomed.start()
        await connection.execute("insert into gateway.audit_log (actor, action) values ('two', 'write')")
        await doomed.rollback()
    await store.append_audit("three", "write", None)
    assert (await verify(pool)).id == 2


@pytest.mark.parametrize(
    ("tampering", "first"),
    [
        ("update gateway.audit_log set actor = 'nobody' where id = 3", 3),
        ("update gateway.audit_log set detail = '{\"a\": 1}' where id = 4", 4),
        ("delete from gateway.audit_log where id = 2", 2),
        ("delete from gateway.audit_log where id = 1", 1),
        ("delete from gateway.audit_log where id = 5", 5),
        ("truncate gateway.audit_log", 1),
    ],
)
async def test_a_row_changed_behind_our_back_is_named(store, pool, admin, tampering: str, first: int) -> None:
    """A superuser who silences every trigger still leaves a trace."""
    for number in range(5):
        await store.append_audit("ada", f"step {number}", None)
    await admin.execute("alter table gateway.audit_log disable trigger all")
    await admin.execute(tampering)
    with pytest.raises(Broken) as broken:
        await verify(pool)
    assert broken.value.id == first


async def test_nobody_chooses_number_or_hash_of_their_row(store, pool) -> None:
    await store.append_audit("ada", "write", None)
    await pool.execute(
        "insert into gateway.audit_log (id, actor, action, hash) overriding system value"
        " values (99, 'eve', 'write', decode(repeat('11', 32), 'hex'))"
    )
    assert (await verify(pool)).id == 2


async def test_the_gateways_role_cannot_move_the_end(store, pool) -> None:
    await store.append_audit("ada", "write", None)
    for change in ("update gateway.audit_head set id = 0", "delete from gateway.audit_head"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(change)


async def test_old_rows_go_and_the_chain_still_holds(store, pool, admin) -> None:
    """Retention forgets people, not the proof: what is left stands on the hash that was dropped last."""
    for days in (800, 700, 600, 2, 1):
        await pool.execute(
            "insert into gateway.audit_log (at, actor, action) values (now() - $1::interval, 'ada', 'visit')",
            timedelta(days=days),
        )
    now = await pool.fetchval("select now()")
    head = await verify(pool)
    assert await prune(pool, audit_before=now - timedelta(days=400), step_times_before=now) == 3
    kept = await latest(pool)
    assert [(entry.id, entry.action) for entry in kept] == [(6, PRUNED), (5, "visit"), (4, "visit")]
    assert (await verify(pool, known=[head, Head(2, b"gone")])).id == 6
    assert await prune(pool, audit_before=now - timedelta(days=400), step_times_before=now) == 0
    await admin.execute("alter table gateway.audit_log disable trigger all")
    await admin.execute("delete from gateway.audit_log where id = 4")
    with pytest.raises(Broken, match="row 4"):
        await verify(pool)


async def test_young_rows_are_not_pruned_by_whoever_took_the_gateway(store, pool) -> None:
    """An intruder with the gateway's role cannot wipe out what they just did."""
    await store.append_audit("eve", "break in", None)
    now = await pool.fetchval("select now()")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await prune(pool, audit_before=now - timedelta(days=29), step_times_before=now)


async def test_rows_from_before_the_chain_are_taken_into_it(postgres) -> None:
    async with postgres.fresh(mould="bare") as bare:
        before = [each for each in migrations() if each.version < "20261123030000"]
        await migrate(bare.owner_dsn, before)
        owner = await asyncpg.connect(bare.owner_dsn)
        for number in (1, 2, 3):
            await owner.execute("insert into gateway.audit_log (actor, action) values ('old', $1)", f"step {number}")
            await owner.execute("select nextval('gateway.audit_log_id_seq')")  # a statement that was rolled back
        await owner.close()
        await migrate(bare.owner_dsn)
        pool = await asyncpg.create_pool(bare.dsn, min_size=1, max_size=2)
        await pool.execute("insert into gateway.audit_log (actor, action) values ('new', 'step 4')")
        assert (await verify(pool)).id == 4
        assert [entry.action for entry in await latest(pool)] == ["step 4", "step 3", "step 2", "step 1"]
        await pool.close()
