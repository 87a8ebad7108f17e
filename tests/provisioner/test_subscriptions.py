"""Plans of users: changed with an audit row, and heard by every replica."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any
from uuid import uuid4

import pytest

from provisioner.audit import Entry
from provisioner.clock import SystemClock
from provisioner.instance import UserId
from provisioner.offer import shipped_plans
from provisioner.plans import NoSuchPlan
from provisioner.store.audit import latest, verify
from provisioner.store.changes import Announcements
from provisioner.store.database import connect
from provisioner.store.plans import SubscriptionTable
from provisioner.subscriptions import change_plan, follow, load
from tests.parts.clock import ManualClock

ADA, BOB = UserId(uuid4()), UserId(uuid4())


@pytest.fixture
async def pool(database) -> AsyncIterator[Any]:  # type: ignore[no-untyped-def]
    async with connect(database.dsn) as pool:
        yield pool


@pytest.fixture
def table(database, pool) -> SubscriptionTable:  # type: ignore[no-untyped-def]
    return SubscriptionTable(pool, SystemClock(), announced=Announcements(database.dsn, SystemClock()))


async def told(pool: Any) -> list[Entry]:
    return [entry for entry in await latest(pool) if entry.action == "plan"][::-1]


async def test_a_change_of_plan_is_in_force_and_in_the_audit_log(table: SubscriptionTable, pool: Any) -> None:
    plans = shipped_plans()
    before, now = await change_plan(table, plans, ADA, "pro", actor="grace")
    assert (before.name, now.name, plans.of(ADA).name) == ("free", "pro", "pro")
    assert await table.plan_in_force(ADA) == "pro"
    before, now = await change_plan(table, plans, ADA, "free", actor="grace")
    assert (before.name, now.name, plans.of(ADA).name) == ("pro", "free", "free")
    assert await table.plan_in_force(ADA) is None
    rows = await told(pool)
    assert [(row.actor, row.user_id, row.detail) for row in rows] == [
        ("grace", ADA, '{"to": "pro", "from": "free"}'),
        ("grace", ADA, '{"to": "free", "from": "pro"}'),
    ]
    await verify(pool)


async def test_the_plan_that_is_in_force_already_is_no_change(table: SubscriptionTable, pool: Any) -> None:
    plans = shipped_plans()
    assert (await change_plan(table, plans, ADA, "free", actor="grace"))[0].name == "free"
    for _ in range(2):
        await change_plan(table, plans, ADA, "starter", actor="grace")
    assert len(await told(pool)) == 1


async def test_an_unknown_plan_changes_nothing(table: SubscriptionTable, pool: Any) -> None:
    with pytest.raises(NoSuchPlan):
        await change_plan(table, shipped_plans(), ADA, "gold", actor="grace")
    assert await told(pool) == []


async def test_a_contract_that_ended_counts_no_more_and_may_begin_again(table: SubscriptionTable, pool: Any) -> None:
    """What the payment provider calls the contract stays with the row."""
    await pool.execute(
        "insert into public.user_subscriptions (user_id, plan, status, provider, provider_subscription_id)"
        " values ($1, 'pro', 'canceled', 'p', 's1'), ($2, 'starter', 'past_due', 'p', 's2')",
        ADA,
        BOB,
    )
    assert await table.plans_in_force() == {BOB: "starter"}
    before, _ = await change_plan(table, shipped_plans(), ADA, "pro", actor="grace")
    assert before.name == "free"
    assert await table.plans_in_force() == {ADA: "pro", BOB: "starter"}
    kept = "select provider_subscription_id from public.user_subscriptions where user_id = $1"
    assert await pool.fetchval(kept, ADA) == "s1"


async def test_another_replica_hears_of_it_at_once(table: SubscriptionTable) -> None:
    here, there = shipped_plans(), shipped_plans()
    await change_plan(table, here, BOB, "starter", actor="grace")
    await load(table, there)
    assert (there.of(BOB).name, there.of(ADA).name) == ("starter", "free")
    async with aclosing(table.plan_changes()) as heard:
        assert await anext(heard) is None  # listening from now on
        following = asyncio.create_task(follow(table, there, ManualClock()))
        try:
            await change_plan(table, here, ADA, "enterprise", actor="grace")
            assert await anext(heard) == ADA
            async with asyncio.timeout(20):
                while there.of(ADA).name != "enterprise":  # noqa: ASYNC110  the follower has its own connection
                    await asyncio.sleep(0.01)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
