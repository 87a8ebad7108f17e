"""A new golden image for everybody: on a real Postgres, a local Fly, and real Machines with files on their volumes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from localcloud.database import Database
from provisioner.errors import NotReady
from provisioner.images import Images, RolloutState, bucket
from provisioner.instance import Instance, State, UserId
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.rollout import BadRollout, NoRollout, Rollouts, RolloutUnderWay
from provisioner.store.audit import latest, verify
from tests.parts.back import APP, IMAGE, SETTINGS, TOKEN, Back, another_replica, back_of_house, somebody
from tests.parts.local_fly import FlyCaller

OLD, NEW = IMAGE, "golden@sha256:new"
AT_ONCE: dict[str, Any] = {"soak": timedelta(0), "proof": 1, "steps": (100,)}


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


@pytest.fixture
def rollouts(back: Back) -> Rollouts:
    return Rollouts(back.parts, back.lifecycle, back.parts.rollouts)


async def stopped(back: Back, visitor: Visitor) -> Instance:
    await back.ready(visitor)
    return await back.lifecycle.stop(visitor.user_id, actor="test")


async def image_of(back: Back, visitor: Visitor) -> tuple[str, str]:
    """As we record it, and as Fly shows it."""
    instance = await back.store.find(visitor.user_id)
    assert instance is not None
    assert instance.machine_id is not None
    machine = await back.cloud.machine(APP, instance.machine_id)
    assert machine is not None
    return instance.image, machine.image


async def state_of(rollouts: Rollouts) -> RolloutState:
    status = await rollouts.status()
    assert status is not None
    return status.rollout.state


def note(back: Back, instance: Instance, tmp_path: Path) -> Path:
    [folder] = [path for path in (tmp_path / "fly").rglob(str(instance.volume_id)) if path.is_dir()]
    return folder / "thesis.txt"


async def does_not_boot(back: Back) -> None:
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        rule = {"match": {"action": "start_machine"}, "times": 50, "fault": {"kind": "boot_failure"}}
        status, _ = await fly("POST", "/_local/faults", rule)
        assert status in (200, 201)


async def boots_again(back: Back) -> None:
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        await fly("DELETE", "/_local/faults")


async def test_who_sleeps_is_moved_and_proven_and_all_new_ones_follow(
    back: Back, rollouts: Rollouts, tmp_path: Path
) -> None:
    """Tomorrow everybody has the new Jarvis, and finds every file where it was."""
    ada, grace = somebody("ada"), somebody("grace")
    asleep = await stopped(back, ada)
    note(back, asleep, tmp_path).write_text("chapter one")
    await back.ready(grace)
    await rollouts.start(NEW, actor="olga", **AT_ONCE)
    await rollouts.round()  # moves who sleeps, and tries one of them
    assert await image_of(back, ada) == (NEW, NEW)
    assert await image_of(back, grace) == (OLD, OLD)  # not under her hands
    status = await rollouts.status()
    assert status is not None
    assert (status.tally.ready, status.tally.failed, status.tally.left) == (1, 0, 1)
    await rollouts.round()
    assert await state_of(rollouts) is RolloutState.DONE
    assert (await back.lifecycle.suspend(grace.user_id, actor="test")).state is State.STOPPED
    assert await image_of(back, grace) == (NEW, NEW)
    woken = await back.ready(ada)
    assert (woken.machine_id, woken.volume_id) == (asleep.machine_id, asleep.volume_id)
    assert note(back, woken, tmp_path).read_text() == "chapter one"
    assert (await back.ready(somebody("new"))).image == NEW


async def test_who_is_stopped_gets_the_new_image_when_they_wake(back: Back, rollouts: Rollouts) -> None:
    ada = somebody()
    await stopped(back, ada)
    await rollouts.start(NEW, actor="olga", **AT_ONCE)
    assert (await back.ready(ada)).image == NEW
    status = await rollouts.status()
    assert status is not None
    assert status.tally.ready == 1  # their wake is the proof


async def test_suspended_ones_keep_their_memory_unless_there_is_a_hurry(back: Back, rollouts: Rollouts) -> None:
    ada = somebody()
    await back.ready(ada)
    await back.lifecycle.suspend(ada.user_id, actor="test")
    await rollouts.start(NEW, actor="olga", **AT_ONCE)
    await rollouts.round()
    assert await image_of(back, ada) == (OLD, OLD)
    await rollouts.back(actor="olga")
    await rollouts.start(NEW, actor="olga", hurry=True, **AT_ONCE)
    await rollouts.round()
    assert await image_of(back, ada) == (NEW, NEW)


async def test_only_the_cohort_is_moved(back: Back, rollouts: Rollouts) -> None:
    visitors = [somebody(f"v{n}") for n in range(4)]
    for visitor in visitors:
        await stopped(back, visitor)
    rollout = await rollouts.start(NEW, actor="olga", steps=(50, 100), proof=4, soak=timedelta(0))
    await rollouts.round()
    for visitor in visitors:
        inside = bucket(rollout.id, visitor.user_id) < 5_000
        assert (await image_of(back, visitor))[1] == (NEW if inside else OLD)


async def test_a_bad_image_halts_itself_and_whoever_met_it_is_served_by_the_former_one(
    back: Back, rollouts: Rollouts, tmp_path: Path
) -> None:
    ada, grace = somebody("ada"), somebody("grace")
    asleep = await stopped(back, ada)
    note(back, asleep, tmp_path).write_text("chapter one")
    await stopped(back, grace)
    await rollouts.start(NEW, actor="olga", **AT_ONCE)
    await does_not_boot(back)
    hasty = replace(back.parts, settings=replace(SETTINGS, bring_up_within=timedelta(seconds=2)))
    async with Lifecycle(hasty) as lifecycle:
        with pytest.raises(NotReady):
            await lifecycle.ensure_ready(ada, deadline=hasty.clock.monotonic() + 20)
    await boots_again(back)
    await rollouts.round()
    status = await rollouts.status()
    assert status is not None
    assert (status.rollout.state, status.tally.failed) == (RolloutState.HALTED, 1)
    assert status.rollout.why == "1 of 1 did not come up"
    assert (await back.ready(ada)).image == OLD
    assert note(back, asleep, tmp_path).read_text() == "chapter one"
    await rollouts.round()
    assert await image_of(back, grace) == (OLD, OLD)  # nobody else met it


async def test_back_restores_what_everybody_had_and_every_file(back: Back, rollouts: Rollouts, tmp_path: Path) -> None:
    ada = somebody()
    asleep = await stopped(back, ada)
    await rollouts.start(NEW, actor="olga", **AT_ONCE)
    woken = await back.ready(ada)
    note(back, woken, tmp_path).write_text("written under the new image")
    await back.lifecycle.suspend(ada.user_id, actor="test")
    await rollouts.back(actor="olga")
    assert await state_of(rollouts) is RolloutState.RETURNING
    assert (await back.ready(somebody("new"))).image == OLD
    await back.lifecycle.stop(ada.user_id, actor="test")  # the second stage of sleep
    assert await image_of(back, ada) == (OLD, OLD)
    await rollouts.round()
    assert await state_of(rollouts) is RolloutState.RETURNED
    again = await back.ready(ada)
    assert (again.image, again.volume_id) == (OLD, asleep.volume_id)
    assert note(back, again, tmp_path).read_text() == "written under the new image"


async def test_paused_it_moves_nobody_and_resumed_it_goes_on(back: Back, rollouts: Rollouts) -> None:
    ada = somebody()
    await stopped(back, ada)
    await rollouts.start(NEW, actor="olga", **AT_ONCE)
    await rollouts.pause(actor="olga")
    await rollouts.round()
    assert await image_of(back, ada) == (OLD, OLD)
    await rollouts.resume(actor="olga")
    await rollouts.round()
    assert await image_of(back, ada) == (NEW, NEW)


async def test_one_at_a_time_and_only_what_makes_sense(back: Back, rollouts: Rollouts) -> None:
    with pytest.raises(NoRollout, match="there is none"):
        await rollouts.pause(actor="olga")
    wrong: dict[str, Any] = {"steps": (50, 10), "tolerance": 2, "proof": -1}
    with pytest.raises(BadRollout, match=r"image must be one word.*steps must be.*tolerance must.*proof must"):
        await rollouts.start("two words", actor="olga", **wrong)
    with pytest.raises(BadRollout, match="already"):
        await rollouts.start(OLD, actor="olga")
    await rollouts.start(NEW, actor="olga")
    with pytest.raises(RolloutUnderWay):
        await rollouts.start("golden@sha256:other", actor="olga")
    with pytest.raises(NoRollout, match="it is running"):
        await rollouts.resume(actor="olga")
    await rollouts.back(actor="olga")
    with pytest.raises(NoRollout, match="it is returning"):
        await rollouts.back(actor="olga")
    await rollouts.start("golden@sha256:other", actor="olga")  # the mend need not wait for the last sleeper


async def test_everything_is_in_the_audit_log(back: Back, rollouts: Rollouts) -> None:
    ada = somebody()
    await stopped(back, ada)
    await rollouts.start(NEW, actor="olga", **AT_ONCE)
    await rollouts.round()
    await rollouts.round()
    await rollouts.back(actor="olga")
    rows = (await latest(back.pool))[::-1]
    told = [(row.actor, row.action, row.from_state, row.to_state) for row in rows if row.action.startswith("rollout_")]
    assert told == [
        ("olga", "rollout_start", None, "running"),
        ("rollout", "rollout_finish", "running", "done"),
        ("olga", "rollout_back", "done", "returning"),
    ]
    [moved] = [row for row in rows if row.action == "image"]
    assert (moved.user_id, moved.actor) == (ada.user_id, "rollout")
    await verify(back.pool)


async def test_another_replica_hears_of_it(back: Back, rollouts: Rollouts) -> None:
    await rollouts.start(NEW, actor="olga", **AT_ONCE)
    async with another_replica(back) as other:
        images = Images(OLD)
        images.newest = await other.parts.rollouts.newest_rollout()
        assert images.newest is not None
        assert (images.newest.image, images.newest.steps) == (NEW, (100,))


async def test_the_database_chooses_the_same_cohorts(back: Back) -> None:
    rollout, users = uuid4(), [UserId(uuid4()) for _ in range(50)]
    rows = await back.pool.fetch(
        "select u, gateway.rollout_bucket($1, u) as bucket from unnest($2::uuid[]) as u", rollout, users
    )
    assert {row["u"]: row["bucket"] for row in rows} == {user: bucket(rollout, user) for user in users}
