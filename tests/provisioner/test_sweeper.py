"""The round that puts the quiet to sleep, on real parts."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.database import Database
from provisioner.instance import Event, State
from provisioner.lifecycle import Visitor
from provisioner.ports import Touch
from provisioner.sweeper import Sweeper, SweepSettings
from tests.parts.back import Back, back_of_house, somebody

SETTINGS = SweepSettings(grace=timedelta(0))


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


def sweeper(back: Back, settings: SweepSettings = SETTINGS) -> Sweeper:
    return Sweeper(back.parts, back.lifecycle, settings)


async def quiet_for(back: Back, visitor: Visitor, duration: timedelta) -> None:
    """Pretend that their last visit was so long ago."""
    pool = back.store._pool
    since = back.parts.clock.now() - duration
    await pool.execute("update user_instances set last_active = $2 where user_id = $1", visitor.user_id, since)


async def state_of(back: Back, visitor: Visitor) -> State:
    found = await back.store.find(visitor.user_id)
    assert found is not None
    return found.state


async def test_who_is_quiet_is_suspended_and_who_is_not_is_not(back: Back) -> None:
    ada, grace = somebody("ada"), somebody("grace")
    await back.ready(ada)
    await back.ready(grace)
    await quiet_for(back, ada, timedelta(minutes=16))
    await quiet_for(back, grace, timedelta(minutes=14))
    await sweeper(back).round()
    assert (await state_of(back, ada), await state_of(back, grace)) == (State.SUSPENDED, State.ACTIVE)
    assert back.traffic.ended == [ada.user_id]


async def test_activity_that_is_not_written_yet_counts(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    await quiet_for(back, ada, timedelta(hours=1))
    back.traffic.touched[ada.user_id] = back.parts.clock.now()
    await sweeper(back).round()
    assert await state_of(back, ada) is State.ACTIVE


async def test_a_request_that_waits_for_its_answer_keeps_the_machine_awake(back: Back) -> None:
    """A Machine is never put to sleep under a request, however long the App thinks about it."""
    ada = somebody()
    await back.ready(ada)
    await quiet_for(back, ada, timedelta(days=3))
    back.traffic.is_busy = True
    await sweeper(back).round()
    assert await state_of(back, ada) is State.ACTIVE


async def test_a_machine_that_cannot_be_read_stays_awake_up_to_the_cap(back: Back) -> None:
    """In doubt it stays awake; but a broken Guard does not cost money for ever."""
    ada = somebody()
    instance = await back.ready(ada)
    assert instance.private_ip is not None
    await back.store._pool.execute("update user_instances set private_ip = '127.0.0.1:1'")  # nobody there
    await quiet_for(back, ada, timedelta(hours=11))
    await sweeper(back).round()
    assert await state_of(back, ada) is State.ACTIVE
    await quiet_for(back, ada, timedelta(hours=13))
    await sweeper(back).round()
    assert await state_of(back, ada) is State.SUSPENDED


async def test_long_suspended_is_stopped(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    await back.lifecycle.suspend(ada.user_id, actor="test")
    await back.store._pool.execute("update user_instances set state_since = state_since - interval '8 days'")
    await sweeper(back).round()
    assert await state_of(back, ada) is State.STOPPED


@pytest.mark.parametrize(
    ("events", "found", "becomes"),
    [
        ([Event.DRAIN], State.DRAINING, State.ACTIVE),  # judged anew
        ([Event.DRAIN, Event.SUSPEND], State.SUSPENDING, State.SUSPENDED),
        ([Event.DRAIN, Event.STOP], State.STOPPING, State.STOPPED),
    ],
)
async def test_what_a_dead_replica_left_is_finished(
    back: Back, events: list[Event], found: State, becomes: State
) -> None:
    """It died between writing down a step and doing it."""
    ada = somebody()
    instance = await back.ready(ada)
    for event in events:
        instance = await back.store.move(ada.user_id, instance.state, event, actor="dead")
    assert instance.state is found
    await sweeper(back).recover()
    assert await state_of(back, ada) is becomes
    assert (await back.ready(ada)).state is State.ACTIVE


async def test_a_deletion_that_was_begun_is_finished(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    await back.store.move(ada.user_id, State.ACTIVE, Event.DELETE, actor="dead")
    await sweeper(back).recover()
    assert await back.store.find(ada.user_id) is None
    assert await back.cloud.volumes("jarvis-machines") == []


async def test_ten_thousand_are_judged_quickly(back: Back) -> None:
    """One round asks the database for the quiet, not for everybody."""
    now = back.parts.clock.now()
    await back.store._pool.execute(
        """insert into user_instances (user_id, email, state, app_name, machine_name, region, machine_id, private_ip,
             image, last_active, state_since)
           select gen_random_uuid(), 'x@example.com', 'active', 'jarvis-machines', 'm' || n, 'iad', 'id' || n,
             '127.0.0.1:1', 'golden', $1, $1 from generate_series(1, 10000) n""",
        now,
    )
    assert await back.store.quiet(before=now - timedelta(minutes=15), limit=500) == []
    await back.store.touch([Touch(user_id=somebody().user_id, at=now)])  # one that has gone meanwhile: nothing breaks
