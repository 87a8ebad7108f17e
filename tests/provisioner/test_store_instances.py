"""Instances in Postgres: every step is a compare-and-set with its audit row."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from provisioner.errors import Moved, NameTaken
from provisioner.instance import STEPS, Event, IllegalStep, State, UserId
from provisioner.ports import Touch

QUARTER = timedelta(minutes=15)


def named(name: str) -> dict[str, str]:
    return {
        "email": "ada@example.com",
        "app_name": "jarvis",
        "machine_name": name,
        "region": "fra",
        "image": "golden@sha256:0",
        "actor": "directory",
    }


async def audit(admin, user_id):
    columns = "actor, action, from_state, to_state, detail, at"
    return await admin.fetch(f"select {columns} from gateway.audit_log where user_id = $1 order by id", user_id)


# Creation ----------------------------------------------------------------------------------------------------------


async def test_a_new_user_gets_a_row_in_provisioning_and_the_log_says_who_asked(store, admin, clock):
    ada = UserId(uuid4())
    made = await store.create(ada, **named("jarvis-1"))
    assert (made.user_id, made.state, made.machine_id, made.error) == (ada, State.PROVISIONING, None, None)
    assert made.created_at == made.state_since == made.last_active == clock.now()
    assert await store.find(ada) == made
    (row,) = await audit(admin, ada)
    assert (row["actor"], row["action"], row["from_state"], row["to_state"]) == (
        "directory",
        "create",
        None,
        "provisioning",
    )
    assert row["at"] == clock.now()


async def test_twenty_first_requests_at_once_make_one_row(store, admin):
    """A browser that restores its tabs does not get an Instance for each."""
    ada = UserId(uuid4())
    made = await asyncio.gather(*(store.create(ada, **named("jarvis-1")) for _ in range(20)))
    assert len({instance.id for instance in made}) == 1
    assert len(await audit(admin, ada)) == 1


async def test_replicas_that_meet_in_any_index_make_one_row(store, admin):
    """Whichever unique index the second insertion hits first: nobody hears of it, there is one row.

    Once is not enough: the two have to be between the checks of the key and of the name at the same time.
    """
    for number in range(200):
        user, name = UserId(uuid4()), f"jarvis-{number}"
        made = await asyncio.gather(*(store.create(user, **named(name)) for _ in range(6)))
        assert len({instance.id for instance in made}) == 1
    assert await admin.fetchval("select count(*) from public.user_instances") == 200


async def test_an_unknown_user_has_no_instance(store):
    assert await store.find(UserId(uuid4())) is None


async def test_two_users_cannot_get_the_same_machine_name(store):
    """Else one would adopt the other's Machine."""
    await store.create(UserId(uuid4()), **named("jarvis-1"))
    with pytest.raises(NameTaken):
        await store.create(UserId(uuid4()), **named("jarvis-1"))


# Steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "event"), STEPS, ids=str)
async def test_every_legal_step_moves_the_row_and_writes_down_who_moved_it(store, make, admin, clock, state, event):
    instance = await make(state, machine_id="m1", private_ip="fdaa::3")
    await clock.advance(seconds=5)
    moved = await store.move(instance.user_id, state, event, actor="sweeper", detail={"why": "test"}, error="late")
    assert moved == replace(instance, state=STEPS[state, event], state_since=clock.now(), error="late")
    row = (await audit(admin, instance.user_id))[-1]
    assert tuple(row) == ("sweeper", event, state, STEPS[state, event], '{"why": "test"}', clock.now())


async def test_an_illegal_step_is_refused_before_the_database_is_asked(store):
    with pytest.raises(IllegalStep):
        await store.move(UserId(uuid4()), State.STOPPED, Event.READY, actor="sweeper")


async def test_of_fifty_that_move_at_once_one_wins(store, make, admin):
    """Fifty requests meet a sleeping Machine: it is woken once."""
    instance = await make(State.SUSPENDED)
    before = len(await audit(admin, instance.user_id))
    moves = (store.move(instance.user_id, State.SUSPENDED, Event.WAKE, actor=f"r{i}") for i in range(50))
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    assert sum(isinstance(each, Moved) for each in outcomes) == 49
    assert len(await audit(admin, instance.user_id)) == before + 1


async def test_a_refused_step_changes_nothing_and_is_not_in_the_log(store, make, admin):
    instance = await make(State.STOPPED)
    before = await audit(admin, instance.user_id)
    with pytest.raises(Moved):
        await store.move(instance.user_id, State.SUSPENDED, Event.WAKE, actor="sweeper")
    assert await store.find(instance.user_id) == instance
    assert await audit(admin, instance.user_id) == before


async def test_the_next_step_clears_the_error(store, make):
    instance = await make(State.PROVISIONING)
    await store.move(instance.user_id, State.PROVISIONING, Event.FAIL, actor="test", error="no room")
    assert (await store.move(instance.user_id, State.FAILED, Event.RETRY, actor="test")).error is None


async def test_nothing_becomes_active_without_an_endpoint(store, make):
    """The proxy may rely on it: ACTIVE has an address."""
    instance = await make(State.PROVISIONING)
    with pytest.raises(asyncpg.CheckViolationError):
        await store.move(instance.user_id, State.PROVISIONING, Event.READY, actor="test")


# Sweeping ----------------------------------------------------------------------------------------------------------


async def test_activity_moves_forward_and_never_back(store, make, clock):
    """Batches of two replicas arrive in any order."""
    ada, ben = await make(State.ACTIVE), await make(State.ACTIVE)
    late, early = clock.now() + QUARTER, clock.now() + timedelta(minutes=1)
    await store.touch([Touch(user_id=ada.user_id, at=late), Touch(user_id=ben.user_id, at=early)])
    await store.touch([Touch(user_id=ada.user_id, at=early), Touch(user_id=UserId(uuid4()), at=late)])
    assert (await store.find(ada.user_id)).last_active == late
    assert (await store.find(ben.user_id)).last_active == early


async def test_of_two_touches_in_one_batch_the_later_counts(store, make, clock):
    ada = await make(State.ACTIVE)
    times = [clock.now() + timedelta(seconds=s) for s in (5, 9, 7)]
    await store.touch([Touch(user_id=ada.user_id, at=at) for at in times])
    assert (await store.find(ada.user_id)).last_active == times[1]


async def test_no_touches_are_no_work(store):
    await store.touch([])


async def test_replicas_that_touch_the_same_users_never_block_each_other_for_good(store, make, clock):
    users = [(await make(State.ACTIVE)).user_id for _ in range(20)]
    await asyncio.gather(
        *(
            store.touch([Touch(user_id=u, at=clock.now() + timedelta(seconds=i)) for u in order])
            for i in range(20)
            for order in (users, users[::-1])
        )
    )
    assert {(await store.find(u)).last_active for u in users} == {clock.now() + timedelta(seconds=19)}


async def test_quiet_are_the_awake_without_activity_longest_first(store, make, clock):
    now = clock.now()
    hour, half, fresh = [
        await make(State.ACTIVE, last_active=now - timedelta(minutes=minutes)) for minutes in (60, 30, 5)
    ]
    await make(State.SUSPENDED, last_active=now - timedelta(hours=9))
    found = await store.quiet(before=now - QUARTER, limit=9)
    assert [each.instance for each in found] == [hour, half]
    assert fresh.user_id not in [each.instance.user_id for each in found]
    (first,) = await store.quiet(before=now - QUARTER, limit=1)
    assert first.instance == hour
    assert [each.instance for each in await store.quiet(before=now - QUARTER, limit=1, after=first)] == [half]


async def test_a_page_of_the_quiet_tells_until_when_somebody_wants_them_awake(store, make, clock):
    now = clock.now()
    await make(State.ACTIVE, last_active=now - timedelta(hours=2))
    eve = await make(State.ACTIVE, last_active=now - timedelta(hours=1))
    assert await store.keep_awake(eve.user_id, now, asked=now, actor="test")
    assert [each.keep_awake_until for each in await store.quiet(before=now, limit=9)] == [None, now]


async def test_asleep_are_the_suspended_since_long(store, make, clock):
    now = clock.now()
    old = await make(State.SUSPENDED, state_since=now - timedelta(days=8))
    await make(State.SUSPENDED, state_since=now - timedelta(days=6))
    await make(State.STOPPED, state_since=now - timedelta(days=9))
    (found,) = await store.asleep(before=now - timedelta(days=7), limit=9)
    assert found.instance == old
    assert await store.asleep(before=now - timedelta(days=7), limit=9, after=found) == []


async def test_unfinished_is_every_state_between_two_that_nobody_is_working_on(store, make, clock):
    made = {state: await make(state) for state in State}
    between = {
        State.PROVISIONING,
        State.DRAINING,
        State.SUSPENDING,
        State.STOPPING,
        State.WAKING,
        State.DELETING,
    }
    assert {each.state for each in await store.unfinished(limit=99)} == between
    lease = await store.acquire(made[State.WAKING].user_id, owner="other", ttl=QUARTER)
    assert {each.state for each in await store.unfinished(limit=99)} == between - {State.WAKING}
    await clock.advance(minutes=15)
    assert {each.state for each in await store.unfinished(limit=99)} == between
    await store.renew(lease, ttl=QUARTER)
    await store.release(lease)
    assert {each.state for each in await store.unfinished(limit=99)} == between


async def test_pages_go_on_where_the_last_one_ended(store, make):
    users = sorted([(await make(State.ACTIVE)).user_id for _ in range(5)])
    await make(State.STOPPED)
    first = await store.page(state=State.ACTIVE, limit=3)
    rest = await store.page(state=State.ACTIVE, after=first[-1].user_id, limit=3)
    assert [each.user_id for each in (*first, *rest)] == users
    assert len(await store.page()) == 6


# Every step ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "event"), sorted(STEPS))
async def test_every_step_there_is_leaves_its_audit_row_in_its_own_transaction(store, make, admin, state, event):
    """One row for each: who did it, and from where to where."""
    instance = await make(state, machine_id="m", private_ip="fdaa::3")
    before = len(await audit(admin, instance.user_id))
    moved = await store.move(instance.user_id, state, event, actor="somebody")
    assert moved.state is STEPS[state, event]
    (row,) = (await audit(admin, instance.user_id))[before:]
    assert (row["actor"], row["action"]) == ("somebody", event)
    assert (row["from_state"], row["to_state"]) == (state, STEPS[state, event])
    same = await admin.fetchval(
        "select i.xmin = a.xmin from user_instances i, gateway.audit_log a where i.user_id = $1 and a.id = $2",
        instance.user_id,
        await admin.fetchval("select max(id) from gateway.audit_log where user_id = $1", instance.user_id),
    )
    assert same


@pytest.mark.parametrize(("state", "event"), sorted(STEPS))
async def test_a_step_whose_audit_row_cannot_be_written_is_not_taken(store, make, state, event):
    instance = await make(state, machine_id="m", private_ip="fdaa::3")
    with pytest.raises(asyncpg.NotNullViolationError):
        await store.move(instance.user_id, state, event, actor=None)
    assert await store.find(instance.user_id) == instance
