"""The queue of failed provisionings, in Postgres."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest

from provisioner.errors import Moved
from provisioner.instance import Event, State, UserId

MINUTE = timedelta(minutes=1)
TTL = timedelta(seconds=15)


@pytest.fixture
def fail(store, make, clock):
    """Let a provisioning fail: a new one, or one more attempt of a user who waits."""

    async def failed(user_id=None, *, minutes=0, words="no room", tries=9, background=False):
        if user_id is None:
            user_id = (await make()).user_id
        else:
            await store.move(user_id, State.FAILED, Event.RETRY, actor="queue")
        lease = await store.acquire(user_id, owner="r1", ttl=TTL)
        return await store.put_off(
            lease,
            actor="visit",
            error="409 could not reserve",
            words=words,
            next_retry_at=clock.now() + minutes * MINUTE,
            tries=tries,
            background=background,
        )

    return failed


async def audit(admin, user_id):
    rows = await admin.fetch(
        "select action, from_state, to_state, detail from gateway.audit_log where user_id = $1 order by id", user_id
    )
    return [(row["action"], row["from_state"], row["to_state"], json.loads(row["detail"])) for row in rows]


async def test_the_step_the_place_and_the_audit_row_are_one(store, fail, admin):
    """A crash leaves either all three or none: nobody is FAILED and forgotten."""
    first = await fail(minutes=1)
    instance = await store.find(first.user_id)
    assert (instance.state, instance.error) == (State.FAILED, "409 could not reserve")
    assert (first.retry_count, first.attempts, first.place, first.error, first.dead) == (0, 1, 1, "no room", False)
    *_, (action, before, after, detail) = await audit(admin, first.user_id)
    assert (action, before, after) == ("fail", "provisioning", "failed")
    assert detail == {"error": "409 could not reserve", "attempt": 1}


async def test_who_lost_the_lease_or_is_elsewhere_puts_nobody_off(store, make, clock):
    instance = await make()
    lease = await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    given = {"actor": "a", "error": "e", "words": "w", "next_retry_at": clock.now(), "tries": 3}
    with pytest.raises(Moved):
        await store.put_off(lease, **given)
    awake = await make(State.ACTIVE)
    with pytest.raises(Moved):
        await store.put_off(await store.acquire(awake.user_id, owner="r1", ttl=TTL), **given)
    assert await store.waiting(instance.user_id) is await store.waiting(awake.user_id) is None


async def test_further_failures_are_counted_and_the_last_leaves_a_dead_letter(store, fail, admin):
    """Exactly one row tells of it, in the transaction of the failure: whoever watches the log misses none."""
    ada = (await fail(tries=3)).user_id
    assert (await fail(ada, tries=3, words="still none")).error == "still none"
    assert "dead_letter" not in [row[0] for row in await audit(admin, ada)]
    dead = await fail(ada, tries=3)
    assert (dead.dead, dead.attempts, dead.place) == (True, 3, None)
    letters = [row for row in await audit(admin, ada) if row[0] == "dead_letter"]
    assert [(before, after) for _, before, after, _ in letters] == [(None, None)]
    assert (letters[0][3]["attempts"], letters[0][3]["cause"]) == (3, "no room")
    assert await store.due(now=dead.next_retry_at + MINUTE, limit=9) == []


async def test_a_first_failure_may_be_the_last(fail):
    assert (await fail(tries=1)).dead


async def test_places_are_first_come_first_and_close_up(store, fail, clock):
    """The page says "you are third", and later "second", never the other way."""
    users = []
    for _ in range(3):
        users.append((await fail()).user_id)
        await clock.advance(seconds=1)
    await fail(users[0], minutes=1)
    assert [(await store.waiting(user)).place for user in users] == [1, 2, 3]
    assert await store.drop(users[1], actor="operator:ada")
    assert await store.waiting(users[1]) is None
    assert [(await store.waiting(user)).place for user in (users[0], users[2])] == [1, 2]


async def test_users_come_before_work_in_the_background(store, fail, clock):
    background = (await fail(background=True)).user_id
    await clock.advance(seconds=1)
    user = (await fail()).user_id
    assert [each.user_id for each in await store.due(now=clock.now(), limit=9)] == [user, background]
    assert (await store.waiting(background)).place == 2
    await fail(background)  # now somebody waits for it
    assert (await store.waiting(background)).place == 1


async def test_due_are_those_whose_time_has_come_with_their_places(store, fail, clock):
    soon, now, late = [(await fail(minutes=minutes)).user_id for minutes in (1, 0, 5)]
    await clock.advance(minutes=2)
    due = await store.due(now=clock.now(), limit=9)
    assert [each.user_id for each in due] == [now, soon]
    assert {each.place for each in due} < {1, 2, 3}
    assert [each.user_id for each in await store.due(now=clock.now(), limit=1)] == [now]
    assert late not in [each.user_id for each in due]


async def test_whoever_is_there_waits_no_longer(store, fail):
    """The step to ACTIVE takes the place away in its own transaction."""
    ada = (await fail()).user_id
    await store.move(ada, State.FAILED, Event.RETRY, actor="queue")
    lease = await store.acquire(ada, owner="r1", ttl=TTL)
    await store.record(lease, machine_id="148e000000000a", private_ip="fdaa::3")
    assert await store.waiting(ada) is not None
    await store.move(ada, State.PROVISIONING, Event.READY, actor="queue", lease=lease)
    assert await store.waiting(ada) is None


async def test_an_operator_lets_one_be_tried_later_now_or_no_more(store, fail, admin, clock):
    ada = (await fail(tries=1)).user_id
    later = await store.reschedule(ada, at=clock.now() + MINUTE, actor="operator:grace")
    assert (later.dead, later.attempts, later.next_retry_at) == (False, 1, clock.now() + MINUTE)
    now = await store.try_again(ada, actor="operator:grace")
    assert (now.retry_count, now.next_retry_at) == (0, clock.now())
    assert await store.drop(ada, actor="operator:grace")
    rows = await admin.fetch("select action from gateway.audit_log where actor = 'operator:grace' order by id")
    assert [row["action"] for row in rows] == ["queue_reschedule", "queue_retry", "queue_drop"]


async def test_what_is_not_queued_cannot_be_changed_and_leaves_no_trace(store, clock, admin):
    nobody = UserId(uuid4())
    assert await store.reschedule(nobody, at=clock.now(), actor="x") is None
    assert await store.try_again(nobody, actor="x") is None
    assert not await store.drop(nobody, actor="x")
    assert await admin.fetchval("select count(*) from gateway.audit_log") == 0


async def test_pages_of_all_the_dead_and_the_waiting(store, fail):
    waiting = {(await fail()).user_id for _ in range(3)}
    dead = {(await fail(tries=1)).user_id for _ in range(2)}
    assert {w.user_id for w in await store.queued(dead=True)} == dead
    assert {w.user_id for w in await store.queued(dead=False)} == waiting
    every = [w.user_id for w in await store.queued()]
    assert every == sorted(dead | waiting)
    assert [w.user_id for w in await store.queued(after=every[1], limit=2)] == every[2:4]
    assert {w.place for w in await store.queued(dead=False)} == {1, 2, 3}
