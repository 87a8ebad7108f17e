"""The queue at work, on a real Postgres, a local Fly and real Machines."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.database import Database
from provisioner.errors import ProvisioningFailed
from provisioner.instance import State
from provisioner.lifecycle import Visitor
from provisioner.queue import QueueDesk, Retrier
from tests.parts.back import SETTINGS, Back, back_of_house, somebody

FULL = {"match": {"action": "create_machine"}, "times": None, "fault": {"kind": "capacity", "scope": "region"}}
PAST = "update provisioning_queue set next_retry_at = now() - interval '1 second'"


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path, settings=replace(SETTINGS, queue_tries=2)) as back:
        yield back


async def failed(back: Back, ada: Visitor, **given: bool) -> ProvisioningFailed:
    with pytest.raises(ProvisioningFailed) as raised:
        await back.ready(ada, **given)
    return raised.value


async def test_failed_provisionings_are_tried_again_when_they_are_due(back: Back) -> None:
    """Nobody has to press anything: when the cloud has room again, the user has a Machine."""
    ada = somebody()
    back.fly.faults.add(FULL)
    await failed(back, ada)
    back.fly.faults.rules.clear()
    await Retrier(back.parts, back.lifecycle).round()
    assert back.lifecycle.job(ada.user_id) is None  # not due yet
    await back.pool.execute(PAST)
    await Retrier(back.parts, back.lifecycle).round()
    assert back.lifecycle.job(ada.user_id) is not None
    assert (await back.ready(ada)).state is State.ACTIVE
    assert await back.store.waiting(ada.user_id) is None


async def test_one_that_was_given_up_rests_until_a_later_visit(back: Back) -> None:
    """Neither reloads nor the queue hammer what failed for good; coming back in a while tries again."""
    ada = somebody()
    back.fly.faults.add(FULL)
    await failed(back, ada)
    await failed(back, ada, force=True)
    waiting = await back.store.waiting(ada.user_id)
    assert waiting is not None
    assert (waiting.dead, waiting.attempts) == (True, 2)
    assert waiting.next_retry_at - back.parts.clock.now() > timedelta(minutes=9)
    asked = back.fly.calls.counts["create_machine"]
    back.fly.faults.rules.clear()
    await failed(back, ada)
    assert back.fly.calls.counts["create_machine"] == asked
    await back.pool.execute(PAST)
    assert (await back.ready(ada)).state is State.ACTIVE
    assert [action for action, _, _ in await back.audit(ada)].count("dead_letter") == 1


async def test_an_operator_sees_the_cause_and_can_retry_reschedule_and_drop(back: Back) -> None:
    ada = somebody()
    desk = QueueDesk(back.parts, back.lifecycle)
    back.fly.faults.add(FULL)
    await failed(back, ada)
    (entry,) = await desk.page()
    assert (entry.user_id, entry.email, entry.place) == (ada.user_id, ada.email, 1)
    assert entry.cause is not None
    assert "create_machine" in entry.cause
    at = back.parts.clock.now() + timedelta(hours=1)
    moved = await desk.reschedule(ada.user_id, at=at, actor="operator:grace")
    assert moved is not None
    assert moved.next_retry_at == at
    assert await desk.drop(ada.user_id, actor="operator:grace")
    assert await desk.page() == []
    assert await desk.retry_now(ada.user_id, actor="operator:grace") is None
    await failed(back, ada)  # a visit tries what was dropped
    back.fly.faults.rules.clear()
    assert await desk.retry_now(ada.user_id, actor="operator:grace") is not None
    assert (await back.ready(ada)).state is State.ACTIVE
