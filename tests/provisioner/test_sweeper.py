"""The round that puts the quiet to sleep, on real parts."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from localcloud.database import Database
from provisioner.awake import Awake
from provisioner.instance import Event, State
from provisioner.lifecycle import Visitor
from provisioner.ports import Touch
from provisioner.sweeper import Sweeper, SweepSettings
from provisioner.timeline import Kind, Story
from tests.parts.back import Back, back_of_house, somebody
from tests.parts.plain_http import NO_TLS

SETTINGS = SweepSettings(grace=timedelta(0), per_second=1000)


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


def sweeper(back: Back, settings: SweepSettings = SETTINGS) -> Sweeper:
    return Sweeper(back.parts, back.lifecycle, settings, record=back.store)


def awake(back: Back) -> Awake:
    return Awake(back.store, back.traffic, back.parts.clock, back.parts.plans.of)


async def story_of(back: Back, visitor: Visitor) -> Story:
    story = await awake(back).story(visitor.user_id)
    assert story is not None
    return story


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
    await quiet_for(back, ada, timedelta(minutes=119))
    await sweeper(back).round()
    assert await state_of(back, ada) is State.ACTIVE
    await quiet_for(back, ada, timedelta(minutes=121))
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


async def test_a_plan_that_pays_for_longer_sleeps_later(back: Back) -> None:
    ada, grace = somebody("ada"), somebody("grace")
    await back.ready(ada)
    await back.ready(grace)
    back.parts.plans.in_force(grace.user_id, "pro")
    for visitor in (ada, grace):
        await quiet_for(back, visitor, timedelta(minutes=20))
    await sweeper(back).suspend_quiet()
    assert (await state_of(back, ada), await state_of(back, grace)) == (State.SUSPENDED, State.ACTIVE)


async def test_whoever_asks_for_it_is_kept_awake_and_no_longer_than_their_plan_allows(back: Back) -> None:
    """I leave for lunch while a long job runs, press one button, and find it running."""
    ada, now = somebody(), back.parts.clock.now()
    await back.ready(ada)
    await quiet_for(back, ada, timedelta(hours=1))
    until = await awake(back).extend(ada.user_id, now + timedelta(days=9), actor="operator:grace")
    assert until is not None
    assert timedelta(hours=2) <= until - now <= timedelta(hours=2, minutes=1)
    await sweeper(back).suspend_quiet()
    assert await state_of(back, ada) is State.ACTIVE
    story = await story_of(back, ada)
    assert story.outlook.keep_awake_until == story.outlook.sleeps_at == until
    assert (story.moments[0].kind, story.moments[0].actor) == (Kind.EXTENDED, "operator:grace")
    await awake(back).extend(ada.user_id, now - timedelta(days=1), actor="operator:grace")  # taken back
    await sweeper(back).suspend_quiet()
    assert await state_of(back, ada) is State.SUSPENDED
    assert await awake(back).extend(somebody().user_id, now, actor="operator:grace") is None


async def test_the_story_says_who_woke_it_what_kept_it_awake_and_why_it_sleeps(back: Back) -> None:
    """Nobody has to guess why their machine costs money, or why it was asleep."""
    ada = somebody()
    await back.ready(ada)
    await quiet_for(back, ada, timedelta(hours=1))
    back.traffic.work = "an LLM call"
    await sweeper(back).suspend_quiet()
    outlook = (await story_of(back, ada)).outlook
    assert outlook.kept_awake_by == "an LLM call"
    assert outlook.sleeps_at is not None
    assert outlook.sleeps_at < back.parts.clock.now()
    back.traffic.work = None
    await sweeper(back).suspend_quiet()
    await back.ready(ada)
    story = await story_of(back, ada)
    assert [moment.kind for moment in story.moments] == [Kind.WOKE, Kind.SUSPENDED, Kind.KEPT_AWAKE, Kind.MADE]
    woke, slept, kept, _ = story.moments
    assert woke.took_s is not None
    assert woke.text == f"Woke up where it had stopped in {woke.took_s:.1f} s, for a visit."
    assert slept.text == "Put to sleep by the gateway: quiet for 15 min."
    assert kept.text == "Kept awake by an LLM call."
    assert await awake(back).story(somebody().user_id) is None


async def test_a_machine_that_holds_a_work_lease_is_left_awake(back: Back) -> None:
    """My nightly build runs to its end, though I have long closed the lid."""
    ada = somebody()
    instance = await back.ready(ada)
    assert instance.private_ip is not None
    endpoint = back.parts.endpoint(instance.private_ip)
    headers = {"X-Jarvis-Assertion": back.parts.keys.assertion(instance, now=back.parts.clock.now())}
    lease = {"reason": "nightly build", "ttl_s": 600}
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
        told = (await http.get(f"http://{endpoint.host}:{endpoint.port}/env", headers=headers)).json()
        inside = told["GUARD_URL"] + "/_guard/lease"
        assert (await http.put(inside, json=lease)).status_code == 200
        await quiet_for(back, ada, timedelta(hours=1))
        await sweeper(back).suspend_quiet()
        assert await state_of(back, ada) is State.ACTIVE
        assert (await story_of(back, ada)).outlook.kept_awake_by == "work: nightly build"
        assert (await http.request("DELETE", inside, json=lease)).status_code == 200
    await sweeper(back).suspend_quiet()
    assert await state_of(back, ada) is State.SUSPENDED


async def test_whoever_naps_again_and_again_is_left_awake_for_longer(back: Back) -> None:
    """A dashboard that reconnects every minute must not cost a suspend and a resume each time."""
    ada = somebody()
    await back.ready(ada)
    for _ in range(3):
        await back.lifecycle.suspend(ada.user_id, actor="sweeper")
        await back.ready(ada)
    await quiet_for(back, ada, timedelta(minutes=20))
    watcher = sweeper(back)
    await watcher.suspend_quiet()
    assert await state_of(back, ada) is State.ACTIVE
    assert watcher.flapping[ada.user_id].naps == 3
    outlook = (await story_of(back, ada)).outlook
    assert outlook.flapping == watcher.flapping[ada.user_id]
    await quiet_for(back, ada, timedelta(minutes=31))
    await watcher.suspend_quiet()
    assert await state_of(back, ada) is State.SUSPENDED


async def test_ten_thousand_are_judged_in_one_pass_and_stopped_at_a_pace(back: Back) -> None:
    """Ten thousand who went home at five: all are looked at at once, and Fly is asked for a few a second."""
    pool, now = back.store._pool, back.parts.clock.now()
    await pool.execute(
        """insert into user_instances (user_id, email, state, app_name, machine_name, region, machine_id, private_ip,
             image, last_active, state_since)
           select gen_random_uuid(), 'x@example.com', 'active', 'jarvis-machines', 'm' || n, 'iad', 'id' || n,
             '127.0.0.1:1', 'golden', $1, $1 from generate_series(1, 10000) n""",
        now - timedelta(hours=13),  # beyond the cap: their Guards, which are not there, are not asked
    )
    due = await sweeper(back).due()
    assert len(due) == len({each.instance.user_id for each in due}) == 10_000
    await pool.execute("update user_instances set last_active = $1", now)
    assert await sweeper(back).due() == []
    await back.store.touch([Touch(user_id=somebody().user_id, at=now)])  # one that has gone meanwhile: nothing breaks
