"""The queue of failed provisionings."""

from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from provisioner.instance import State, UserId

MINUTE = timedelta(minutes=1)


async def test_a_failure_waits_and_counts_further_failures(store, make, clock):
    ada = (await make(State.FAILED)).user_id
    first = await store.enqueue(ada, error="no room", next_retry_at=clock.now() + MINUTE)
    assert (first.retry_count, first.place, first.error) == (0, 1, "no room")
    again = await store.enqueue(ada, error="still none", next_retry_at=clock.now() + 2 * MINUTE)
    assert (again.retry_count, again.error, again.next_retry_at) == (1, "still none", clock.now() + 2 * MINUTE)
    assert await store.waiting(ada) == again


async def test_places_are_first_come_first_and_close_up(store, make, clock):
    """The page says "you are third", and later "second", never the other way."""
    users = []
    for _ in range(3):
        users.append((await make(State.FAILED)).user_id)
        await store.enqueue(users[-1], error="no room", next_retry_at=clock.now())
        await clock.advance(seconds=1)
    await store.enqueue(users[0], error="no room", next_retry_at=clock.now() + MINUTE)
    assert [(await store.waiting(user)).place for user in users] == [1, 2, 3]
    await store.dequeue(users[1])
    assert await store.waiting(users[1]) is None
    assert [(await store.waiting(user)).place for user in (users[0], users[2])] == [1, 2]


async def test_due_are_those_whose_time_has_come_with_their_places(store, make, clock):
    soon, now, late = [(await make(State.FAILED)).user_id for _ in range(3)]
    for user, minutes in ((soon, 1), (now, 0), (late, 5)):
        await store.enqueue(user, error="no room", next_retry_at=clock.now() + minutes * MINUTE)
        await clock.advance(seconds=1)
    await clock.advance(minutes=2)
    due = await store.due(now=clock.now(), limit=9)
    assert [(each.user_id, each.place) for each in due] == [(now, 2), (soon, 1)]
    assert [each.user_id for each in await store.due(now=clock.now(), limit=1)] == [now]


async def test_one_that_was_given_up_is_not_due_and_has_no_place(store, make, admin, clock):
    dead, other = [(await make(State.FAILED)).user_id for _ in range(2)]
    for user in (dead, other):
        await store.enqueue(user, error="no room", next_retry_at=clock.now())
        await clock.advance(seconds=1)
    await admin.execute("update provisioning_queue set status = 'dead' where user_id = $1", dead)
    assert await store.waiting(dead) is None
    assert [(each.user_id, each.place) for each in await store.due(now=clock.now(), limit=9)] == [(other, 1)]
    assert (await store.enqueue(dead, error="asked again", next_retry_at=clock.now())).retry_count == 1


async def test_only_who_has_an_instance_can_wait_for_one(store, clock):
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await store.enqueue(UserId(uuid4()), error="no room", next_retry_at=clock.now())
