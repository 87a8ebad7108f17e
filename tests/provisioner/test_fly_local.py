"""The client and the local Fly together: two readings of one API, made apart, that have to agree."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.fly import LocalFly, local_fly
from provisioner.errors import (
    CloudSilent,
    CloudUnreachable,
    NameTaken,
    NoCapacity,
    NotAllowed,
    NotThere,
    RateLimited,
    Refused,
    Scope,
    WrongState,
)
from provisioner.fly.client import FlyClient
from provisioner.fly.settings import FlySettings
from provisioner.instance import MachineId
from provisioner.ports import Guest, Machine, MachineSpec, MachineState
from tests.parts.plain_http import NO_TLS
from tests.parts.scripted_fly import SPEC

TOKEN = "fm2_local"
APP = "jarvis"
STARTED, STOPPED, SUSPENDED = MachineState.STARTED, MachineState.STOPPED, MachineState.SUSPENDED
SOON = timedelta(seconds=5)
Strike = Callable[..., Awaitable[None]]


@pytest.fixture
async def fly(tmp_path: Path) -> AsyncIterator[LocalFly]:
    async with local_fly(tmp_path, token=TOKEN, command=None, region="ams") as fly:
        yield fly


@pytest.fixture
async def client(fly: LocalFly) -> AsyncIterator[FlyClient]:
    quick = timedelta(seconds=1)
    async with FlyClient.open(
        FlySettings(token=TOKEN, api_url=fly.url, org_slug="acme", ask_timeout=quick, act_timeout=quick)
    ) as client:
        await client.ensure_app(APP)
        yield client


@pytest.fixture
def strike(fly: LocalFly) -> Strike:
    """Order one fault for an action."""

    async def order(action: str, kind: str, **fields: Any) -> None:
        rule = {"match": {"action": action}, "fault": {"kind": kind, **fields}}
        async with httpx.AsyncClient(verify=NO_TLS) as http:
            answer = await http.post(f"{fly.url}/_local/faults", json=rule)
            assert answer.status_code == 201, answer.text

    return order


async def new_spec(client: FlyClient, name: str = SPEC.name) -> MachineSpec:
    volume = await client.create_volume(APP, name="jarvis_data", region="ams", size_gb=1, guest=Guest())
    return replace(SPEC, name=name, volume_id=volume.id)


async def running(client: FlyClient) -> Machine:
    made = await client.create_machine(APP, await new_spec(client))
    assert await client.wait(APP, made, [STARTED], timeout=SOON) is STARTED
    return made


async def test_a_whole_life(client):
    made = await running(client)
    assert (made.name, made.region, made.metadata, made.host_ok) == (SPEC.name, "ams", SPEC.metadata, True)
    assert made.private_ip
    await client.suspend(APP, made.id)
    assert await client.wait(APP, made, [SUSPENDED, STOPPED], timeout=SOON) is SUSPENDED
    await client.start(APP, made.id)
    assert await client.wait(APP, made, [STARTED], timeout=SOON) is STARTED
    await client.stop(APP, made.id, signal="SIGTERM", timeout=timedelta(seconds=1))
    assert await client.wait(APP, made, [STOPPED], timeout=SOON) is STOPPED
    await client.start(APP, made.id)
    await client.destroy(APP, made.id)
    assert await client.wait(APP, made, [MachineState.DESTROYED], timeout=SOON) is MachineState.DESTROYED
    assert await client.machine(APP, made.id) is None
    assert await client.machines(APP, {}) == []
    await client.delete_volume(APP, str(made.volume_id))
    assert await client.volumes(APP) == []


async def test_a_life_may_be_ended_twice_and_before_it_began(client):
    made = await running(client)
    for _ in range(2):
        await client.destroy(APP, made.id)
        await client.delete_volume(APP, str(made.volume_id))  # although it may still hang on the Machine
    await client.destroy(APP, MachineId("00000000000000"))
    await client.delete_volume(APP, "vol_unknown")
    assert await client.machine(APP, MachineId("00000000000000")) is None


async def test_what_is_created_is_private_and_as_ordered(client, fly):
    made = await running(client)
    async with httpx.AsyncClient(verify=NO_TLS) as http:
        answer = await http.get(
            f"{fly.url}/v1/apps/{APP}/machines/{made.id}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
    config = answer.json()["config"]
    assert config["env"] == SPEC.env
    assert config.get("services", []) == []
    assert config["stop_config"] == {"signal": "SIGTERM", "timeout": "10s"}


async def test_a_duplicate_is_adopted(client, fly):
    spec = await new_spec(client)
    first = await client.create_machine(APP, spec)
    again = await client.create_machine(APP, spec)
    assert again.id == first.id
    assert len(await client.machines(APP, SPEC.metadata)) == 1


async def test_two_replicas_that_race_get_one_machine(client, fly):
    spec = await new_spec(client)
    async with FlyClient.open(FlySettings(token=TOKEN, api_url=fly.url)) as other:
        one, two = await asyncio.gather(client.create_machine(APP, spec), other.create_machine(APP, spec))
    assert one.id == two.id


async def test_a_duplicate_of_another_instance_is_left_alone(client):
    spec = await new_spec(client)
    first = await client.create_machine(APP, spec)
    with pytest.raises(NameTaken) as taken:
        await client.create_machine(APP, replace(spec, metadata={**SPEC.metadata, "instance": "i-2"}))
    assert taken.value.machine_id == first.id
    assert [found.id for found in await client.machines(APP, {})] == [first.id]


async def test_a_lost_answer_makes_no_second_machine(client, fly, strike):
    """The connection breaks when Fly has just made the Machine."""
    spec = await new_spec(client)
    await strike("create_machine", "lost_answer")
    made = await client.create_machine(APP, spec)
    assert [found.id for found in await client.machines(APP, {})] == [made.id]
    assert fly.calls.counts["create_machine"] == 1


async def test_a_reset_before_any_work_is_reported_as_unknown(client, fly, strike):
    spec = await new_spec(client)
    await strike("create_machine", "reset")
    with pytest.raises(CloudSilent):
        await client.create_machine(APP, spec)
    assert await client.machines(APP, {}) == []


async def test_a_hang_is_silence(client, strike):
    made = await running(client)
    await strike("suspend_machine", "hang")
    with pytest.raises(CloudSilent):
        await client.suspend(APP, made.id)


@pytest.mark.parametrize("trouble", [("status", {"status": 503}), ("lost_answer", {}), ("reset", {}), ("hang", {})])
async def test_a_question_is_asked_again(client, strike, trouble):
    made = await running(client)
    kind, fields = trouble
    await strike("get_machine", kind, **fields)
    assert (await client.machine(APP, made.id)) is not None


async def test_nobody_there_is_told_apart_from_silence(client, tmp_path):
    async with local_fly(tmp_path / "other", token=TOKEN, command=None) as gone:
        url = gone.url
    async with FlyClient.open(FlySettings(token=TOKEN, api_url=url)) as alone:
        with pytest.raises(CloudUnreachable):
            await alone.machines(APP, {})


async def test_fly_never_has_to_refuse_our_pace(client, fly):
    """Seven calls at once where three are allowed: they take their time, and none is refused."""
    made = await running(client)
    async with asyncio.TaskGroup() as calls:
        for _ in range(7):
            calls.create_task(client.stop(APP, made.id, signal="SIGTERM", timeout=timedelta(seconds=1)))
        for _ in range(20):
            calls.create_task(client.machine(APP, made.id))
    assert [call for call in fly.calls.latest if call["status"] == 429] == []


async def test_a_429_is_waited_out(client, fly, strike):
    made = await running(client)
    await strike("suspend_machine", "rate_limit", retry_after=1)
    await client.suspend(APP, made.id)
    assert fly.calls.counts["suspend_machine"] == 2


async def test_a_429_that_lasts_too_long_is_told(client, strike):
    made = await running(client)
    await strike("suspend_machine", "rate_limit", retry_after=3600)
    with pytest.raises(RateLimited) as limited:
        await client.suspend(APP, made.id)
    assert limited.value.retry_after == 3600


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("action", ["create_machine", "start_machine"])
async def test_every_lack_of_room_is_understood(client, strike, scope, action):
    spec = await new_spec(client)
    if action == "create_machine":
        await strike(action, "capacity", scope=scope)
        with pytest.raises(NoCapacity) as full:
            await client.create_machine(APP, spec)
    else:
        made = await client.create_machine(APP, spec)
        await client.wait(APP, made, [STARTED], timeout=SOON)
        await strike(action, "capacity", scope=scope)
        with pytest.raises(NoCapacity) as full:
            await client.start(APP, made.id)
    assert full.value.scope is scope


async def test_no_room_for_a_disk(client, strike):
    await strike("create_volume", "capacity", scope="region")
    with pytest.raises(NoCapacity) as full:
        await new_spec(client)
    assert full.value.scope is Scope.REGION


async def test_a_start_that_comes_too_early_waits_for_the_image(client, fly):
    fly.latencies.create = 0.6
    made = await client.create_machine(APP, await new_spec(client))
    await client.start(APP, made.id)
    assert await client.wait(APP, made, [STARTED], timeout=SOON) is STARTED


async def test_a_start_of_what_is_being_suspended_keeps_it_running(client, fly):
    fly.latencies.suspend = 30
    made = await running(client)
    await client.suspend(APP, made.id)
    await client.start(APP, made.id)
    assert await client.wait(APP, made, [STARTED], timeout=SOON) is STARTED


async def test_starting_what_runs_is_no_error(client):
    made = await running(client)
    await client.start(APP, made.id)


async def test_starting_what_is_gone_is_one(client):
    with pytest.raises(NotThere):
        await client.start(APP, MachineId("00000000000000"))


async def test_a_wait_that_runs_out_tells_the_state(client):
    made = await running(client)
    with pytest.raises(WrongState) as late:
        await client.wait(APP, made, [STOPPED], timeout=timedelta(seconds=1))
    assert late.value.current == STARTED


async def test_a_boot_that_fails_is_seen(client, fly, strike):
    spec = await new_spec(client)
    await strike("create_machine", "boot_failure")
    made = await client.create_machine(APP, spec)
    assert await client.wait(APP, made, [STARTED, MachineState.FAILED], timeout=SOON) is MachineState.FAILED


async def test_a_new_machine_that_nobody_knows_yet_is_waited_for(client, fly):
    spec = await new_spec(client)
    made = await client.create_machine(APP, spec)
    fly.latencies.invisible = 0.5
    assert await client.wait(APP, made, [STARTED], timeout=SOON) is STARTED
    assert await client.machine(APP, made.id) is not None


async def test_a_disk_in_use_is_not_mounted_twice(client):
    made = await running(client)
    with pytest.raises(Refused):
        await client.create_machine(APP, replace(SPEC, name="jarvis-test-other", volume_id=str(made.volume_id)))


async def test_a_machine_on_a_lost_host_is_still_known_as_ours(client, fly):
    made = await running(client)
    async with httpx.AsyncClient(verify=NO_TLS) as http:
        await http.put(f"{fly.url}/_local/machines/{made.id}/host", json={"status": "unreachable"})
    [found] = await client.machines(APP, SPEC.metadata)
    assert (found.host_ok, found.metadata, found.volume_id) == (False, SPEC.metadata, made.volume_id)


async def test_the_app_is_made_once_and_ours_only(client, fly):
    await client.ensure_app(APP)
    async with FlyClient.open(FlySettings(token=TOKEN, api_url=fly.url, org_slug="umbrella")) as stranger:
        with pytest.raises(NameTaken):
            await stranger.ensure_app(APP)
    assert fly.calls.counts["create_app"] == 1


async def test_a_new_app_that_nobody_knows_yet_is_waited_for(client, fly):
    fly.latencies.invisible = 0.5
    await client.ensure_app("another")


async def test_a_wrong_token_is_told_without_repeating_it(fly):
    async with FlyClient.open(FlySettings(token="fm2_wrongwrong", api_url=fly.url)) as client:
        with pytest.raises(NotAllowed) as refused:
            await client.machines(APP, {})
    assert "wrongwrong" not in repr((refused.value, refused.value.__cause__))
