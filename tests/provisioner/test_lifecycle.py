"""The life of Instances, on a real Postgres, a local Fly and real Machines."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from localcloud.database import Database
from provisioner import naming
from provisioner.errors import BeingDeleted, Moved, ProvisioningFailed, WakeExpired
from provisioner.instance import Event, Instance, MachineId, State
from provisioner.lifecycle import Visitor
from provisioner.ports import MachineState
from provisioner.probe import Health
from tests.parts.back import APP, SETTINGS, TOKEN, Back, another_replica, back_of_house, somebody
from tests.parts.local_fly import FlyCaller
from tests.parts.plain_http import NO_TLS


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


async def machines_of(back: Back, visitor: Visitor) -> list[str]:
    name = naming.machine_name("test", visitor.user_id)
    return [m.id for m in await back.cloud.machines(APP, {"gateway_env": "test"}) if m.name == name]


async def boot_id(back: Back, instance: Instance) -> str:
    assert instance.private_ip is not None
    endpoint = back.parts.endpoint(instance.private_ip)
    async with httpx.AsyncClient(verify=NO_TLS) as client:
        answer = await client.get(f"http://{endpoint.host}:{endpoint.port}/_guard/health")
    return str(answer.json()["boot_id"])


async def test_a_first_visit_makes_a_machine_that_answers(back: Back) -> None:
    """Signing up is all it takes."""
    ada = somebody()
    instance = await back.ready(ada)
    assert instance.state is State.ACTIVE
    assert instance.private_ip is not None
    assert instance.machine_id is not None
    endpoint = back.parts.endpoint(instance.private_ip)
    assert await back.parts.probe.health(endpoint, instance.machine_id, timeout=1) is Health.READY
    other = MachineId("148e0000000bad")
    assert await back.parts.probe.health(endpoint, other, timeout=1) is Health.SILENT  # an address given away
    assert await machines_of(back, ada) == [instance.machine_id]
    assert [to for _, _, to in await back.audit(ada)] == ["provisioning", "active"]


async def test_twenty_tabs_at_once_share_one_bring_up(back: Back) -> None:
    ada = somebody()
    instances = await asyncio.gather(*(back.ready(ada) for _ in range(20)))
    assert {i.machine_id for i in instances} == {instances[0].machine_id}
    assert back.fly.calls.counts["create_machine"] == 1
    await back.lifecycle.suspend(ada.user_id, actor="test")
    before = back.starts()
    await asyncio.gather(*(back.ready(ada) for _ in range(20)))
    assert back.starts() == before + 1


async def test_two_replicas_make_one_machine(back: Back) -> None:
    """A user whose first two requests land on different replicas has one Machine all the same."""
    ada = somebody()
    async with another_replica(back) as other:
        one, two = await asyncio.gather(back.ready(ada), other.ready(ada))
    assert one.machine_id == two.machine_id
    assert back.fly.calls.counts["create_machine"] == 1


@pytest.mark.parametrize(("sleep", "asleep"), [("suspend", State.SUSPENDED), ("stop", State.STOPPED)])
async def test_asleep_and_awake_again(back: Back, sleep: str, asleep: State) -> None:
    ada = somebody()
    await back.ready(ada)
    assert (await getattr(back.lifecycle, sleep)(ada.user_id, actor="test")).state is asleep
    assert back.traffic.ended == [ada.user_id]
    assert (await back.ready(ada)).state is State.ACTIVE
    states = [to for _, _, to in await back.audit(ada)]
    mid = "suspending" if sleep == "suspend" else "stopping"
    assert states == ["provisioning", "active", "draining", mid, asleep.value, "waking", "active"]


@pytest.mark.parametrize("by_now", [State.ACTIVE, State.STOPPED, None])
async def test_one_that_was_seen_asleep_and_is_elsewhere_by_now_comes_up_all_the_same(
    back: Back, by_now: State | None
) -> None:
    """Another replica was quicker with it, in whatever it did."""
    ada = somebody()
    await back.ready(ada)
    seen = await back.lifecycle.suspend(ada.user_id, actor="test")
    async with another_replica(back) as other:
        match by_now:
            case State.ACTIVE:
                await other.ready(ada)
            case State.STOPPED:
                await other.lifecycle.stop(ada.user_id, actor="test")
            case None:
                await other.lifecycle.destroy(ada.user_id, actor="test")
    starts = back.starts()
    bring_up = back.lifecycle.begin(ada, asleep=seen.state)
    if by_now is None:
        with pytest.raises(BeingDeleted):
            await bring_up.outcome
        return
    assert (await bring_up.outcome).state is State.ACTIVE
    assert back.starts() == starts + (by_now is State.STOPPED)


async def test_a_resume_is_a_start_and_a_wait_and_no_look(back: Back) -> None:
    """The Guard that answers where it did before, and names its Machine, is all that there is to know."""
    ada = somebody()
    await back.ready(ada)
    await back.lifecycle.suspend(ada.user_id, actor="test")
    before = dict(back.fly.calls.counts)
    await back.ready(ada)
    asked = {action: n - before.get(action, 0) for action, n in back.fly.calls.counts.items()}
    assert asked.pop("wait_machine") <= 1  # given up when the Guard answers first
    assert {action: n for action, n in asked.items() if n} == {"start_machine": 1}


async def test_one_that_moved_to_another_host_while_it_slept_is_found_there(back: Back) -> None:
    ada = somebody()
    before = await back.ready(ada)
    await back.lifecycle.suspend(ada.user_id, actor="test")
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        assert (await fly("POST", f"/_local/machines/{before.machine_id}/migrate"))[0] == 200
    after = await back.ready(ada)
    assert (after.state, after.machine_id) == (State.ACTIVE, before.machine_id)
    assert after.private_ip != before.private_ip


async def test_who_wants_to_go_in_does_not_wait_for_the_row_to_say_so(back: Back, database: Database) -> None:
    """It answers; that is written down while they are there already."""
    ada = somebody()
    await back.ready(ada)
    await back.lifecycle.suspend(ada.user_id, actor="test")
    back.fly.latencies.resume = 0.3
    admin = await asyncpg.connect(database.admin_dsn)
    async with asyncio.timeout(20):
        bring_up = back.lifecycle.begin(ada)
        await back.asked("start_machine")  # its first step is taken; now the last one is kept from being taken
        async with admin.transaction():
            await admin.execute("select from user_instances where user_id = $1 for update", ada.user_id)
            inside = await bring_up.answers
            assert (inside.state, inside.private_ip is None) == (State.WAKING, False)
            assert not bring_up.outcome.done()
            going = asyncio.create_task(back.lifecycle.suspend(ada.user_id, actor="test"))
        assert (await bring_up.outcome).state is State.ACTIVE
        assert (await going).state is State.SUSPENDED  # who is in may be put to sleep, once all of it is written
    await admin.close()


async def test_a_first_visit_does_wait_for_the_row(back: Back) -> None:
    """Its address is recorded with it; until then nobody else would find the way."""
    ada = somebody()
    bring_up = back.lifecycle.begin(ada)
    assert (await bring_up.answers).state is State.ACTIVE
    assert bring_up.outcome.done()
    await bring_up.over.wait()


async def test_a_machine_that_slept_behind_our_back_is_woken_on_doubt(back: Back) -> None:
    ada = somebody()
    instance = await back.ready(ada)
    assert instance.machine_id is not None
    await back.cloud.suspend(APP, instance.machine_id)
    assert (await back.ready(ada, doubt=True)).state is State.ACTIVE
    assert back.starts() == 1


async def test_one_that_was_stopped_behind_our_back_counts_as_a_start(back: Back) -> None:
    """What "usually" takes how long is learnt by kind: a boot is no resume."""
    ada = somebody()
    instance = await back.ready(ada)
    assert instance.machine_id is not None
    await back.cloud.stop(APP, instance.machine_id, signal="SIGKILL", timeout=timedelta(seconds=1))
    machine = await back.cloud.machine(APP, instance.machine_id)
    assert machine is not None
    await back.cloud.wait(APP, machine, [MachineState.STOPPED], timeout=timedelta(seconds=10))
    await back.ready(ada, doubt=True)
    assert {path for path, _ in await back.store.usual()} == {"provision", "start"}


async def test_a_machine_that_hangs_is_resumed_with_its_memory(back: Back) -> None:
    """Frozen without Fly knowing: it calls the Machine started, and only its Guard's silence tells."""
    ada = somebody()
    instance = await back.ready(ada)
    boot = await boot_id(back, instance)
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        assert (await fly("POST", f"/_local/machines/{instance.machine_id}/freeze"))[0] == 204
    after = await back.ready(ada, doubt=True)
    assert (after.state, await boot_id(back, after)) == (State.ACTIVE, boot)


async def test_doubt_about_a_machine_that_answers_changes_nothing(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    await back.ready(ada, doubt=True)
    assert [to for _, _, to in await back.audit(ada)] == ["provisioning", "active"]


async def test_a_machine_that_is_gone_is_made_anew_on_its_volume(back: Back) -> None:
    """Fly lost the Machine; what the user wrote is still there."""
    ada = somebody()
    before = await back.ready(ada)
    assert before.machine_id is not None
    await back.cloud.destroy(APP, before.machine_id)
    after = await back.ready(ada, doubt=True)
    assert after.machine_id != before.machine_id
    assert after.volume_id == before.volume_id


async def test_a_visit_while_it_goes_to_sleep_wakes_it_at_once(back: Back) -> None:
    """Nobody waits for a suspend to finish first."""
    ada = somebody()
    await back.ready(ada)
    back.fly.latencies.suspend = 30.0
    going = asyncio.create_task(back.lifecycle.suspend(ada.user_id, actor="test"))
    await back.asked("suspend_machine")
    assert (await back.ready(ada)).state is State.ACTIVE
    with pytest.raises(Moved):
        await going


async def test_a_sleep_that_is_overtaken_before_it_began_leaves_no_trace(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    going = asyncio.create_task(back.lifecycle.suspend(ada.user_id, actor="test"))
    await asyncio.sleep(0)  # asked for, not begun
    assert (await back.ready(ada)).state is State.ACTIVE
    with pytest.raises(Moved):
        await going
    assert (await back.lifecycle.suspend(ada.user_id, actor="test")).state is State.SUSPENDED


async def test_a_hit_within_the_grace_keeps_it_awake(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    grace = timedelta(seconds=30)
    going = asyncio.create_task(back.lifecycle.suspend(ada.user_id, actor="sweeper", grace=grace))
    async with asyncio.timeout(10):
        async for _ in back.store.changes():
            if (await back.audit(ada))[-1][2] == "draining":
                break
    assert (await back.ready(ada)).state is State.ACTIVE
    with pytest.raises(Moved):
        await going
    assert back.fly.calls.counts["suspend_machine"] == 0


async def test_waiting_ends_at_the_deadline_and_the_work_goes_on(back: Back) -> None:
    ada = somebody()
    back.fly.latencies.create = 0.5
    with pytest.raises(WakeExpired):
        await back.lifecycle.ensure_ready(ada, deadline=back.parts.clock.monotonic())
    assert back.lifecycle.job(ada.user_id) is not None
    assert (await back.ready(ada)).state is State.ACTIVE
    assert back.fly.calls.counts["create_machine"] == 1


async def test_a_failed_provisioning_waits_in_the_queue_and_can_be_forced(back: Back) -> None:
    ada = somebody()
    rule = {"match": {"action": "create_machine"}, "times": 99, "fault": {"kind": "capacity", "scope": "region"}}
    back.fly.faults.add(rule)
    with pytest.raises(ProvisioningFailed, match="no room"):
        await back.ready(ada)
    waiting = await back.store.waiting(ada.user_id)
    assert waiting is not None
    assert waiting.place == 1
    with pytest.raises(ProvisioningFailed):  # not due yet: nobody hammers a full region
        await back.ready(ada)
    back.fly.faults.rules.clear()
    assert (await back.ready(ada, force=True)).state is State.ACTIVE
    assert await back.store.waiting(ada.user_id) is None


async def test_a_lost_answer_makes_no_second_machine(back: Back) -> None:
    """The answer to our create was lost after Fly had acted: the Machine is found by its name, not made again."""
    ada = somebody()
    for action in ("create_volume", "create_machine"):
        back.fly.faults.add({"match": {"action": action}, "times": 1, "fault": {"kind": "lost_answer"}})
    instance = await back.ready(ada)
    assert await machines_of(back, ada) == [instance.machine_id]
    assert [v.id for v in await back.cloud.volumes(APP)] == [instance.volume_id]


async def test_a_replica_that_dies_leaves_work_that_another_finishes(database: Database, tmp_path: Path) -> None:
    """Killed between making the Machine and its first answer: the user still gets that very Machine."""
    settings = replace(SETTINGS, lease_ttl=timedelta(seconds=1))
    async with back_of_house(database, tmp_path, settings=settings) as back:
        ada = somebody()
        back.fly.latencies.create = 1.0
        async with another_replica(back, "dying") as dying:
            dying.lifecycle.begin(ada)
            await back.asked("create_machine")
        instance = await back.ready(ada)
        assert await machines_of(back, ada) == [instance.machine_id]
        assert len(await back.cloud.volumes(APP)) == 1


async def test_deletion_leaves_nothing(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    await back.lifecycle.destroy(ada.user_id, actor="test")
    assert await back.store.find(ada.user_id) is None
    assert await machines_of(back, ada) == []
    assert await back.cloud.volumes(APP) == []
    await back.lifecycle.destroy(ada.user_id, actor="test")  # again: nothing to do


async def test_an_instance_that_is_being_deleted_takes_nobody_in(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    await back.store.move(ada.user_id, State.ACTIVE, Event.DELETE, actor="test")
    with pytest.raises(BeingDeleted):
        await back.ready(ada)


async def test_a_start_that_fly_will_not_hear_of_is_tried_again(back: Back) -> None:
    """Too many asked at once: my wake takes a second longer, and is no error."""
    ada = somebody()
    instance = await back.ready(ada)
    await back.lifecycle.stop(ada.user_id, actor="test")
    for _ in range(3):  # as often as one call is repeated
        fault = {"kind": "rate_limit", "retry_after": 1}
        back.fly.faults.add({"match": {"action": "start_machine"}, "fault": fault})
    assert (await back.ready(ada)).machine_id == instance.machine_id
