"""What keeps Machines awake, in Postgres."""

from datetime import UTC, datetime, timedelta

from provisioner.instance import State
from provisioner.store.audit import prune

MINUTE = timedelta(minutes=1)


async def test_a_vigil_goes_on_while_it_is_noted_and_another_reason_is_another_one(store, make, clock):
    ada = (await make(State.ACTIVE)).user_id
    for reason in ("a stream", "a stream", "work: build"):
        await store.note_vigils({ada: reason}, going_on=2 * MINUTE)
        await clock.advance(minutes=1)
    await clock.advance(minutes=10)
    await store.note_vigils({ada: "a stream"}, going_on=2 * MINUTE)
    told = [(each.reason, each.last_at - each.first_at) for each in await store.vigils_of(ada)]
    assert told == [("a stream", 0 * MINUTE), ("work: build", 0 * MINUTE), ("a stream", MINUTE)]


async def test_whoever_has_gone_meanwhile_breaks_nothing(store, make, admin):
    ada = (await make(State.ACTIVE)).user_id
    await admin.execute("delete from user_instances")
    await store.note_vigils({ada: "a stream"}, going_on=MINUTE)
    assert await store.vigils_of(ada) == []


async def test_old_vigils_go(store, make, pool, clock):
    ada = (await make(State.ACTIVE)).user_id
    await store.note_vigils({ada: "a stream"}, going_on=MINUTE)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    await prune(pool, audit_before=long_ago, step_times_before=clock.now())
    assert len(await store.vigils_of(ada)) == 1
    await prune(pool, audit_before=long_ago, step_times_before=clock.now() + MINUTE)
    assert await store.vigils_of(ada) == []
