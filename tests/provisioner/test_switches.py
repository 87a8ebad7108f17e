"""What an operator holds back stays back, on every replica, and goes on where it was."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.database import Database
from provisioner.errors import ProvisioningFailed
from provisioner.instance import State
from provisioner.queue import Retrier
from provisioner.store.switches import SwitchTable
from provisioner.sweeper import Sweeper, SweepSettings
from provisioner.switches import Position, Switch, Switches, follow
from provisioner.tasks import Tasks
from tests.parts.back import Back, back_of_house, somebody

P = Switch.PAUSE_PROVISIONING


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


def hold(back: Back, name: Switch, message: str = "", *, on: bool = True) -> None:
    back.parts.switches.stand([Position(name=name, is_on=on, message=message)])


async def test_every_replica_follows_and_one_row_is_written(back: Back) -> None:
    table = SwitchTable(back.pool, back.parts.clock, announced=back.announced)
    other, heard = Switches(), asyncio.Event()
    other.when_changed(lambda: heard.set() if other.on(P) else None)
    async with Tasks() as tasks:
        tasks.begin(follow(table, other, back.parts.clock), name="follow")
        for _ in range(2):
            told = await table.flip(P, True, "until noon", actor="operator:ada")
            assert (told.is_on, told.message, told.changed_by) == (True, "until noon", "operator:ada")
        await asyncio.wait_for(heard.wait(), 20)
    rows = await back.store.latest_audit()
    assert [(row.actor, row.action) for row in rows] == [("operator:ada", "switch")]
    assert "until noon" in rows[0].detail


async def test_who_is_new_keeps_a_place_and_gets_a_machine_when_it_goes_on(back: Back) -> None:
    """Nothing is asked of Fly meanwhile, and nobody has to come back and ask again."""
    ada = somebody()
    hold(back, P, "Back at noon.")
    for _ in range(2):
        with pytest.raises(ProvisioningFailed, match="Back at noon"):
            await back.ready(ada)
    assert back.fly.calls.counts["create_machine"] == 0
    waiting = await back.store.waiting(ada.user_id)
    assert waiting is not None
    assert (waiting.place, waiting.retry_count, "Back at noon." in waiting.error) == (1, 0, True)
    retrier = Retrier(back.parts, back.lifecycle)
    await retrier.round()
    assert back.lifecycle.job(ada.user_id) is None
    hold(back, P, on=False)
    await retrier.round()
    job = back.lifecycle.job(ada.user_id)
    assert job is not None
    assert (await job.outcome).state is State.ACTIVE


async def test_who_has_a_machine_is_woken_all_the_same_and_an_operator_may_make_one(back: Back) -> None:
    ada, bob = somebody(), somebody("bob")
    await back.ready(ada)
    await back.lifecycle.stop(ada.user_id, actor="test")
    hold(back, P)
    assert (await back.ready(ada)).state is State.ACTIVE
    with pytest.raises(ProvisioningFailed):
        await back.ready(bob, force=True)  # they pressed the button that tries at once
    deadline = back.parts.clock.monotonic() + 20
    made = await back.lifecycle.ensure_ready(bob, deadline=deadline, actor="operator:ada", force=True)
    assert made.state is State.ACTIVE


async def test_while_sweeps_are_held_back_nobody_is_put_to_sleep(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    await back.pool.execute("update user_instances set last_active = now() - interval '30 days'")
    hold(back, Switch.PAUSE_SWEEPS)
    sweeper = Sweeper(back.parts, back.lifecycle, SweepSettings(), record=back.store)
    await sweeper.round()
    found = await back.store.find(ada.user_id)
    assert found is not None
    assert found.state is State.ACTIVE
    hold(back, Switch.PAUSE_SWEEPS, on=False)
    await sweeper.round()
    found = await back.store.find(ada.user_id)
    assert found is not None
    assert found.state is State.SUSPENDED
