"""Each user in an app and a network of their own, on a real Postgres, a local Fly and real Machines."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.database import Database
from provisioner import naming
from provisioner.errors import Moved
from provisioner.instance import Isolation, State
from provisioner.lifecycle import Lifecycle
from provisioner.probe import Health
from tests.parts.back import APP, SETTINGS, TOKEN, Back, another_replica, apps_of, back_of_house, somebody
from tests.parts.local_fly import FlyCaller

ISOLATED = replace(SETTINGS, isolation=Isolation.APP, lease_ttl=timedelta(seconds=3))


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path, settings=ISOLATED) as back:
        yield back


async def test_a_first_visit_makes_an_app_a_network_an_address_a_disk_and_a_machine(back: Back) -> None:
    """And nothing in the app that others share; the way in is the private address, not the Machine's own."""
    ada = somebody()
    instance = await back.ready(ada)
    assert (instance.state, instance.isolation) == (State.ACTIVE, Isolation.APP)
    (app,) = await apps_of(back, ada)
    assert (app["name"], app["id"]) == (instance.app_name, instance.app_id)
    assert (app["machine_count"], app["volume_count"]) == (1, 1)
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        _, seen = await fly("GET", f"/apps/{instance.app_name}")
        _, addresses = await fly("GET", f"/apps/{instance.app_name}/ip_assignments")
        _, shared = await fly("GET", f"/apps/{APP}/machines")
    assert seen["network"] == naming.network_name(instance.id)
    assert [ip["ip"] for ip in addresses["ips"]] == [instance.flycast_ip] == [instance.private_ip]
    assert shared == []
    assert instance.machine_id is not None
    machine = await back.cloud.machine(instance.app_name, instance.machine_id)
    assert machine is not None
    assert machine.private_ip != instance.private_ip


async def test_two_users_share_nothing(back: Back) -> None:
    ada, grace = await asyncio.gather(back.ready(somebody("ada")), back.ready(somebody("grace")))
    assert ada.app_name != grace.app_name
    assert ada.private_ip is not None
    assert grace.machine_id is not None
    endpoint = back.parts.endpoint(ada.private_ip)
    assert await back.parts.probe.health(endpoint, grace.machine_id, timeout=1) is Health.SILENT


@pytest.mark.parametrize("sleep", ["suspend", "stop"])
async def test_asleep_and_awake_again_at_the_same_address(back: Back, sleep: str) -> None:
    ada = somebody()
    before = await back.ready(ada)
    await getattr(back.lifecycle, sleep)(ada.user_id, actor="test")
    after = await back.ready(ada)
    assert (after.state, after.private_ip, after.machine_id) == (State.ACTIVE, before.private_ip, before.machine_id)


async def test_deletion_takes_the_whole_app_and_whoever_comes_back_gets_another(back: Back) -> None:
    ada = somebody()
    first = await back.ready(ada)
    await back.lifecycle.destroy(ada.user_id, actor="test")
    assert await apps_of(back, ada) == []
    assert await back.store.find(ada.user_id) is None
    second = await back.ready(ada)
    assert second.app_name != first.app_name
    assert second.id != first.id


@pytest.mark.parametrize("action", ["create_app", "assign_address", "create_volume", "create_machine"])
async def test_a_lost_answer_makes_nothing_twice(back: Back, action: str) -> None:
    back.fly.faults.add({"match": {"action": action}, "fault": {"kind": "lost_answer"}})
    ada = somebody()
    instance = await back.ready(ada)
    (app,) = await apps_of(back, ada)
    assert (app["machine_count"], app["volume_count"]) == (1, 1)
    assert instance.state is State.ACTIVE


@pytest.mark.parametrize("action", ["create_app", "assign_address", "create_volume", "create_machine"])
async def test_another_replica_goes_on_where_one_died(back: Back, action: str) -> None:
    """Killed while Fly worked on its call: nothing is made twice, nothing is left over."""
    ada = somebody()
    back.fly.faults.add({"match": {"action": action}, "fault": {"kind": "lost_answer"}})
    async with Lifecycle(back.parts) as doomed:
        doomed.begin(ada)
        await back.asked(action)
    async with another_replica(back) as other:
        instance = await other.ready(ada)
    (app,) = await apps_of(back, ada)
    assert (app["name"], app["machine_count"], app["volume_count"]) == (instance.app_name, 1, 1)


async def test_a_deletion_that_was_cut_off_is_ended_by_whoever_comes(back: Back) -> None:
    ada = somebody()
    await back.ready(ada)
    back.fly.faults.add({"match": {"action": "delete_app"}, "fault": {"kind": "hang"}})
    dying = asyncio.ensure_future(back.lifecycle.destroy(ada.user_id, actor="test"))
    await back.asked("delete_app")
    dying.cancel()
    await asyncio.wait({dying})
    left = await back.store.find(ada.user_id)
    assert left is not None
    assert left.state is State.DELETING
    await back.lifecycle.recover(left)
    assert await back.store.find(ada.user_id) is None
    assert await apps_of(back, ada) == []


async def test_an_app_of_our_name_in_another_network_is_never_touched(
    back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are for everybody at Fly; whose an app is says its network."""
    ada = somebody()
    taken = "jarvis-test-taken"
    monkeypatch.setattr(naming, "app_name", lambda *_: taken)
    async with FlyCaller(back.fly.url, TOKEN) as fly:
        await fly("POST", "/apps", {"name": taken, "org_slug": "personal", "network": "somebody-elses"})
        with pytest.raises(Exception, match="exists already"):
            await back.ready(ada)
        await back.lifecycle.destroy(ada.user_id, actor="test")
        assert (await fly("GET", f"/apps/{taken}"))[0] == 200
    with pytest.raises(Moved):
        await back.lifecycle.suspend(ada.user_id, actor="test")
    assert await back.store.find(ada.user_id) is None


async def test_who_was_made_one_way_stays_so_when_the_setting_changes(database: Database, back: Back) -> None:
    ada = somebody()
    before = await back.ready(ada)
    settings = replace(ISOLATED, isolation=Isolation.MACHINE)
    async with another_replica(replace(back, parts=replace(back.parts, settings=settings))) as other:
        await other.lifecycle.stop(ada.user_id, actor="test")
        after = await other.ready(ada)
        assert (after.app_name, after.isolation) == (before.app_name, Isolation.APP)
        grace = await other.ready(somebody("grace"))
        assert (grace.app_name, grace.flycast_ip) == (APP, None)
