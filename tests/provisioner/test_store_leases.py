"""Leases: one replica works on an Instance, and a late one cannot spoil its work."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from provisioner.errors import Moved
from provisioner.instance import ASLEEP, Event, IllegalStep, State, UserId

TTL = timedelta(seconds=30)


async def waiters(admin, number):
    """Return when `number` connections wait for a lock."""
    waiting = "select count(*) from pg_locks where not granted"
    async with asyncio.timeout(20):
        while await admin.fetchval(waiting) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_of_many_replicas_one_gets_the_lease(store):
    ada = UserId(uuid4())
    got = await asyncio.gather(*(store.acquire(ada, owner=f"r{i}", ttl=TTL) for i in range(20)))
    (lease,) = [each for each in got if each]
    assert lease.user_id == ada
    assert await store.acquire(ada, owner="another", ttl=TTL) is None


async def test_one_that_ran_out_goes_to_who_asks_next_with_a_higher_fence(store, clock):
    """A replica died; another goes on."""
    ada = UserId(uuid4())
    dead = await store.acquire(ada, owner="dead", ttl=TTL)
    await clock.advance(seconds=30)
    heir = await store.acquire(ada, owner="heir", ttl=TTL)
    assert heir.fence > dead.fence
    assert heir.until == clock.now() + TTL
    with pytest.raises(Moved):
        await store.renew(dead, ttl=TTL)


async def test_ones_own_is_given_again_and_the_older_one_is_worth_nothing(store):
    """A replica that restarted under its old name does not trust what it did before."""
    ada = UserId(uuid4())
    before = await store.acquire(ada, owner="r1", ttl=TTL)
    after = await store.acquire(ada, owner="r1", ttl=TTL)
    assert after.fence > before.fence
    with pytest.raises(Moved):
        await store.renew(before, ttl=TTL)


async def test_fences_only_grow_also_when_taken_at_once(store, admin):
    ada = UserId(uuid4())
    leases = await asyncio.gather(*(store.acquire(ada, owner="r1", ttl=TTL) for _ in range(20)))
    current = await admin.fetchval("select fence from gateway.instance_leases")
    assert current == max(lease.fence for lease in leases)
    assert len({lease.fence for lease in leases}) == 20


async def test_renewing_keeps_the_fence_and_moves_the_end(store, clock):
    ada = UserId(uuid4())
    lease = await store.acquire(ada, owner="r1", ttl=TTL)
    await clock.advance(seconds=20)
    assert await store.renew(lease, ttl=TTL) == replace(lease, until=clock.now() + TTL)
    await clock.advance(seconds=20)
    assert await store.acquire(ada, owner="r2", ttl=TTL) is None


async def test_one_given_back_is_free_at_once_and_useless(store):
    ada = UserId(uuid4())
    lease = await store.acquire(ada, owner="r1", ttl=TTL)
    await store.release(lease)
    with pytest.raises(Moved):
        await store.renew(lease, ttl=TTL)
    assert await store.acquire(ada, owner="r2", ttl=TTL)


async def test_giving_back_a_lost_one_leaves_the_heir_alone(store, clock):
    ada = UserId(uuid4())
    lost = await store.acquire(ada, owner="r1", ttl=TTL)
    await clock.advance(seconds=31)
    heir = await store.acquire(ada, owner="r2", ttl=TTL)
    await store.release(lost)
    assert await store.renew(heir, ttl=TTL)


async def test_with_a_lost_lease_nothing_can_be_written(store, make, clock):
    """A replica wakes from a long pause and goes on as if nothing had happened."""
    instance = await make(State.DELETING)
    lost = await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    await clock.advance(seconds=31)
    assert await store.acquire(instance.user_id, owner="r2", ttl=TTL)
    with pytest.raises(Moved):
        await store.record(lost, machine_id="m2")
    with pytest.raises(Moved):
        await store.forget_machine(lost)
    with pytest.raises(Moved):
        await store.remove(lost, actor="r1")
    waking = await make(State.WAKING)
    held = await store.acquire(waking.user_id, owner="r1", ttl=TTL)
    with pytest.raises(Moved):
        await store.move(waking.user_id, State.WAKING, Event.READY, actor="r1", lease=replace(held, owner="r2"))
    with pytest.raises(Moved):
        await store.move(waking.user_id, State.WAKING, Event.READY, actor="r1", lease=replace(held, fence=0))
    assert await store.find(instance.user_id) == instance
    assert await store.move(waking.user_id, State.WAKING, Event.READY, actor="r1", lease=held)


async def test_a_lease_cannot_be_taken_while_a_write_under_it_is_being_made(store, make, admin, pool):
    """The fence is no mere look before the leap: the taker waits for the write, not the other way round."""
    instance = await make(State.WAKING)
    held = await store.acquire(instance.user_id, owner="r1", ttl=-TTL)  # ran out already: anybody may take it
    async with pool.acquire() as other, other.transaction():
        # Holds the row, so that the move below stops with the lease in its hand.
        await other.execute("update public.user_instances set email = 'x' where user_id = $1", instance.user_id)
        move = asyncio.ensure_future(store.move(instance.user_id, State.WAKING, Event.READY, actor="r1", lease=held))
        await waiters(admin, 1)
        take = asyncio.ensure_future(store.acquire(instance.user_id, owner="r2", ttl=TTL))
        await waiters(admin, 2)
        assert not take.done()
    assert (await move).state is State.ACTIVE
    assert (await take).owner == "r2"


async def test_ids_are_written_back_as_they_become_known(store, make):
    instance = await make(State.PROVISIONING)
    lease = await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    await store.record(lease, volume_id="vol_1", region="ams")
    now = await store.record(lease, machine_id="m1", private_ip="fdaa::3")
    assert (now.volume_id, now.machine_id, now.private_ip, now.region) == ("vol_1", "m1", "fdaa::3", "ams")


async def test_a_lost_machine_is_forgotten_and_its_volume_is_not(store, make):
    instance = await make(State.STOPPED)
    lease = await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    now = await store.forget_machine(lease)
    assert (now.machine_id, now.private_ip, now.volume_id) == (None, None, instance.volume_id)


async def test_the_machine_of_a_serving_instance_cannot_be_forgotten(store, make):
    instance = await make(State.ACTIVE)
    lease = await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    with pytest.raises(Moved):
        await store.forget_machine(lease)


async def test_a_deleted_instance_leaves_only_its_trace(store, make, admin, clock):
    """Nothing of the user remains but the log of what was done, and a later sign-up starts from nothing."""
    instance = await make()
    lease = await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    put_off = {"error": "409", "words": "no room", "tries": 9, "actor": "visit", "next_retry_at": clock.now()}
    await store.put_off(lease, **put_off)
    await store.move(instance.user_id, State.FAILED, Event.DELETE, actor="operator")
    await store.remove(lease, actor="operator")
    assert await store.find(instance.user_id) is None
    assert await store.waiting(instance.user_id) is None
    assert await admin.fetchval("select count(*) from gateway.instance_leases") == 0
    last = await admin.fetchrow("select action, actor, user_id, detail from gateway.audit_log order by id desc")
    assert (last["action"], last["actor"], last["user_id"]) == ("remove", "operator", instance.user_id)
    assert str(instance.id) in last["detail"]
    assert (await store.acquire(instance.user_id, owner="r1", ttl=TTL)).fence > lease.fence


async def test_only_a_deleting_instance_can_be_removed(store, make):
    instance = await make(State.STOPPED)
    lease = await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    with pytest.raises(Moved):
        await store.remove(lease, actor="operator")
    assert await store.find(instance.user_id) == instance


# A wake, begun in one go --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(ASLEEP))
async def test_a_wake_takes_the_lease_and_the_first_step_with_its_audit_row(store, make, admin, clock, state):
    instance = await make(state, error="an old one")
    lease, woken = await store.wake(instance.user_id, state, owner="r1", ttl=TTL, actor="visit")
    assert lease == await store.renew(lease, ttl=TTL)
    assert woken == replace(instance, state=State.WAKING, state_since=clock.now(), error=None)
    assert await store.acquire(instance.user_id, owner="r2", ttl=TTL) is None
    row = await admin.fetchrow(
        "select a.actor, a.action, a.from_state, a.to_state, a.xmin = i.xmin as same_transaction"
        " from gateway.audit_log a join user_instances i using (user_id) order by a.id desc limit 1"
    )
    assert tuple(row) == ("visit", "wake", state, "waking", True)


async def test_who_is_elsewhere_by_now_is_not_woken_and_the_lease_is_there_all_the_same(store, make, admin):
    instance = await make(State.ACTIVE)
    before = await admin.fetchval("select count(*) from gateway.audit_log")
    lease, woken = await store.wake(instance.user_id, State.SUSPENDED, owner="r1", ttl=TTL, actor="visit")
    assert woken is None
    assert await store.renew(lease, ttl=TTL)
    assert await store.find(instance.user_id) == instance
    assert await admin.fetchval("select count(*) from gateway.audit_log") == before


async def test_while_another_has_the_lease_nobody_is_woken(store, make, clock):
    instance = await make(State.SUSPENDED)
    held = await store.acquire(instance.user_id, owner="r1", ttl=TTL)
    assert await store.wake(instance.user_id, State.SUSPENDED, owner="r2", ttl=TTL, actor="visit") == (None, None)
    assert await store.find(instance.user_id) == instance
    await clock.advance(seconds=31)
    lease, woken = await store.wake(instance.user_id, State.SUSPENDED, owner="r2", ttl=TTL, actor="visit")
    assert lease.fence > held.fence
    assert woken.state is State.WAKING


async def test_of_many_replicas_that_wake_one_at_once_one_does(store, make, admin):
    instance = await make(State.SUSPENDED)
    told = await asyncio.gather(
        *(store.wake(instance.user_id, State.SUSPENDED, owner=f"r{i}", ttl=TTL, actor="visit") for i in range(20))
    )
    assert len([lease for lease, _ in told if lease]) == len([row for _, row in told if row]) == 1
    assert await admin.fetchval("select count(*) from gateway.audit_log where action = 'wake'") == 1


async def test_a_wake_that_waited_for_another_step_sees_what_that_did(store, make, pool, admin):
    """Its own look at the row is older than the step it waited for."""
    instance = await make(State.SUSPENDED)
    async with pool.acquire() as other, other.transaction():
        await other.execute("update public.user_instances set state = 'stopped' where user_id = $1", instance.user_id)
        waking = asyncio.ensure_future(
            store.wake(instance.user_id, State.SUSPENDED, owner="r1", ttl=TTL, actor="visit")
        )
        await waiters(admin, 1)
    lease, woken = await waking
    assert (lease.owner, woken) == ("r1", None)


@pytest.mark.parametrize("state", sorted(ASLEEP))
async def test_a_wake_whose_audit_row_cannot_be_written_takes_neither_step_nor_lease(store, make, state):
    instance = await make(state)
    with pytest.raises(asyncpg.NotNullViolationError):
        await store.wake(instance.user_id, state, owner="r1", ttl=TTL, actor=None)
    assert await store.find(instance.user_id) == instance
    assert await store.acquire(instance.user_id, owner="r2", ttl=TTL)


async def test_nobody_is_woken_from_a_state_that_is_no_sleep(store, make):
    instance = await make(State.PROVISIONING)
    with pytest.raises(IllegalStep):
        await store.wake(instance.user_id, State.PROVISIONING, owner="r1", ttl=TTL, actor="visit")
