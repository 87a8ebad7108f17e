"""Trouble can be ordered over HTTP, strikes exactly the calls it is meant for, and leaves the rest alone."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from localcloud.fly import local_fly
from localcloud.fly.faults import BadRule, Faults
from localcloud.fly.limits import UNLIMITED
from tests.parts.clock import ManualClock
from tests.parts.local_fly import TOKEN, FlyCaller, arrived

pytest_plugins = ("tests.parts.fly_fixtures",)
CREATE = {"config": {"image": "x", "metadata": {"instance": "ada-1"}}, "name": "jarvis-ada"}


def struck(rule: dict[str, object], calls: list[tuple[str, str, str]]) -> list[bool]:
    faults = Faults()
    faults.add({"fault": {"kind": "reset"}} | rule)
    return [faults.strike(*call, 0.5) is not None for call in calls]


START = ("POST", "/v1/apps/a/machines/1/start", "start_machine")
GET = ("GET", "/v1/apps/a/machines/1", "get_machine")


@pytest.mark.parametrize(
    ("rule", "hits"),
    [
        ({}, [True, False]),
        ({"times": None}, [True, True]),
        ({"match": {"method": "GET"}}, [False, True]),
        ({"match": {"method": "get"}}, [False, True]),
        ({"match": {"action": "start_machine"}}, [True, False]),
        ({"match": {"path": "/v1/apps/*/machines/*/start"}}, [True, False]),
        ({"match": {"path": "machines/\\d+$"}}, [False, True]),
        ({"match": {"path": "*/machines/1"}}, [False, True]),
        ({"after": 1}, [False, True]),
        ({"chance": 0.4, "times": None}, [False, False]),
        ({"chance": 0.6, "times": None}, [True, True]),
    ],
)
def test_a_rule_strikes_the_calls_it_fits(rule: dict[str, object], hits: list[bool]) -> None:
    assert struck(rule, [START, GET]) == hits


@pytest.mark.parametrize(
    "script",
    [
        {},
        [],
        {"fault": {"kind": "earthquake"}},
        {"fault": {"kind": "status"}},
        {"fault": {"kind": "capacity", "scope": "moon"}},
        {"fault": {"kind": "reset"}, "match": {"colour": "red"}},
        {"fault": {"kind": "reset"}, "tmies": 2},
    ],
)
def test_a_rule_with_a_slip_is_refused(script: object) -> None:
    """Or a test that orders trouble with a misspelt word would pass without any."""
    with pytest.raises(BadRule):
        Faults().add(script)


async def order(call: FlyCaller, fault: dict[str, object], **rule: object) -> None:
    status, answer = await call("POST", "/_local/faults", {"fault": fault} | rule)
    assert status == 201, answer


async def test_a_scripted_status_comes_as_written(bare_call: FlyCaller) -> None:
    body = {"error": "internal", "status": "unknown"}
    await order(bare_call, {"kind": "status", "status": 500, "body": body, "headers": {"fly-request-id": "1"}})
    assert await bare_call("GET", "/apps/ada") == (500, body)
    assert bare_call.last_headers["fly-request-id"] == "1"
    assert (await bare_call("GET", "/apps/ada"))[0] == 404


async def test_rules_are_listed_and_cleared(bare_call: FlyCaller) -> None:
    await order(bare_call, {"kind": "reset"}, match={"action": "get_app"}, times=2)
    await order(bare_call, {"kind": "reset"}, match={"action": "list_apps"})
    _, listed = await bare_call("GET", "/_local/faults")
    assert [(rule["match"], rule["times"], rule["struck"]) for rule in listed["faults"]] == [
        ({"action": "get_app"}, 2, 0),
        ({"action": "list_apps"}, 1, 0),
    ]
    await bare_call("DELETE", f"/_local/faults/{listed['faults'][0]['id']}")
    assert len((await bare_call("GET", "/_local/faults"))[1]["faults"]) == 1
    await bare_call("DELETE", "/_local/faults")
    assert (await bare_call("GET", "/_local/faults"))[1] == {"faults": []}
    assert (await bare_call("POST", "/_local/faults", {"fault": {"kind": "typo"}}))[0] == 400


async def test_a_lost_answer_leaves_a_machine_that_can_be_found(bare_call: FlyCaller) -> None:
    """What a client must look for after a create without an answer, by metadata or name."""
    await bare_call.app()
    await order(bare_call, {"kind": "lost_answer"}, match={"action": "create_machine"})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await bare_call("POST", "/apps/ada/machines", CREATE)
    _, found = await bare_call("GET", "/apps/ada/machines", query={"metadata.instance": "ada-1"})
    assert [machine["name"] for machine in found] == ["jarvis-ada"]
    status, answer = await bare_call("POST", "/apps/ada/machines", CREATE)
    assert (status, found[0]["id"] in answer["error"]) == (409, True)


async def test_a_reset_does_no_work(bare_call: FlyCaller) -> None:
    await bare_call.app()
    await order(bare_call, {"kind": "reset"}, match={"action": "create_machine"})
    with pytest.raises(aiohttp.ClientOSError):
        await bare_call("POST", "/apps/ada/machines", CREATE)
    assert (await bare_call("GET", "/apps/ada/machines"))[1] == []


async def test_a_refused_connection(bare_call: FlyCaller) -> None:
    """Nobody listens for a moment; afterwards all is as before."""
    await bare_call.app()
    await order(bare_call, {"kind": "refuse_connection", "seconds": 0.2})
    with pytest.raises(aiohttp.ClientOSError):
        await bare_call("GET", "/apps/ada")
    refused = 0
    async with asyncio.timeout(10):
        while True:
            try:
                status, _ = await bare_call("GET", "/apps/ada")
                break
            except aiohttp.ClientConnectorError:
                refused += 1
    assert status == 200
    assert refused


@pytest.mark.parametrize(
    ("scope", "path", "status", "text", "code"),
    [
        ("host", "machines", 409, "could not reserve resource for machine", None),
        ("volume_host", "machines", 412, "existing volume", "volume_placement_capacity"),
        ("region", "machines", 422, "could not find a candidate host", "insufficient_capacity"),
        ("region", "volumes", 400, "no capacity", None),
        ("organisation", "machines", 403, "over the allowed quota", None),
    ],
)
async def test_no_room(bare_call: FlyCaller, scope: str, path: str, status: int, text: str, code: str | None) -> None:
    """Being full has scopes, and only two of them are cured by another region."""
    await bare_call.app()
    await order(bare_call, {"kind": "capacity", "scope": scope}, match={"method": "POST"})
    got, answer = await bare_call("POST", f"/apps/ada/{path}", {"name": "x", "size_gb": 1, "config": {"image": "x"}})
    assert (got, answer.get("status")) == (status, code)
    assert text in answer["error"]


async def test_an_ordered_rate_limit(bare_call: FlyCaller) -> None:
    await order(bare_call, {"kind": "rate_limit", "retry_after": 7})
    await order(bare_call, {"kind": "rate_limit"})
    assert (await bare_call("GET", "/apps/ada"))[0] == 429
    assert bare_call.last_headers["Retry-After"] == "7"
    assert (await bare_call("GET", "/apps/ada"))[0] == 429
    assert "Retry-After" not in bare_call.last_headers


async def test_a_boot_that_fails(bare_call: FlyCaller) -> None:
    """The create is accepted; only waiting tells that the Machine never came up. Starting it once more helps."""
    await bare_call.app()
    await order(bare_call, {"kind": "boot_failure"}, match={"action": "create_machine"})
    machine = await bare_call.machine(state="failed")
    await bare_call.act(machine, "start", until="started")


async def test_hang_and_delay_take_the_time_they_are_told(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        local_fly(tmp_path, token=TOKEN, command=None, clock=clock, limits=UNLIMITED) as fly,
        FlyCaller(fly.url) as call,
    ):
        await call.app()
        await order(call, {"kind": "delay", "seconds": 30})
        slow = asyncio.ensure_future(call("GET", "/apps/ada"))
        await arrived(fly, "get_app", 1)
        await clock.advance(seconds=29)
        assert not slow.done()
        await clock.advance(seconds=1)
        assert (await slow)[0] == 200
        await order(call, {"kind": "hang", "seconds": 30}, match={"action": "create_machine"})
        lost = asyncio.ensure_future(call("POST", "/apps/ada/machines", CREATE))
        await arrived(fly, "create_machine", 1)
        await clock.advance(seconds=30)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await lost
        assert (await call("GET", "/apps/ada/machines"))[1] == []


async def test_sleeping_machines_move_to_other_hosts_and_change_addresses(call: FlyCaller) -> None:
    """Whoever kept the old address of a Machine may find another one there."""
    await call.app()
    ada, eve = await call.machine(name="ada"), await call.machine(name="eve")
    assert (await call("POST", f"/_local/machines/{ada['id']}/migrate"))[0] == 409  # it runs
    await call.act(ada, "suspend", until="suspended")
    await call.act(eve, "stop", until="stopped")
    status, _ = await call("POST", f"/_local/machines/{ada['id']}/migrate", {"swap_with": eve["id"]})
    assert status == 200
    _, seen = await call("GET", f"/apps/ada/machines/{ada['id']}")
    assert seen["private_ip"] == eve["private_ip"]
    await call.act(ada, "start", until="started")
    status, moved = await call("POST", f"/_local/machines/{eve['id']}/migrate")
    assert status == 200
    assert moved["addresses"][0] not in (ada["private_ip"], eve["private_ip"])


async def test_latencies_are_changed_by_name(bare_call: FlyCaller) -> None:
    status, answer = await bare_call("PUT", "/_local/latencies", {"start": 1.5})
    assert (status, answer["start"], answer["resume"]) == (200, 1.5, 0.02)
    assert (await bare_call("PUT", "/_local/latencies", {"strat": 1}))[0] == 400
    assert (await bare_call("PUT", "/_local/latencies", {"start": -1}))[0] == 400
    assert (await bare_call("GET", "/_local/latencies"))[1]["start"] == 1.5


async def test_calls_are_counted(bare_call: FlyCaller) -> None:
    """How often was this Machine started? The record answers, refusals and lost answers included."""
    await bare_call.app()
    machine = await bare_call.machine()
    await bare_call("DELETE", "/_local/requests")
    await bare_call.act(machine, "suspend", until="suspended")
    await bare_call.act(machine, "start", until="started")
    await order(bare_call, {"kind": "lost_answer"})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await bare_call("POST", f"/apps/ada/machines/{machine['id']}/start")
    await bare_call("POST", "/apps/ada/machines/0/start")
    _, record = await bare_call("GET", "/_local/requests", query={"action": "start_machine"})
    assert record["counts"]["start_machine"] == 3
    assert record["answers"]["start_machine"] == {"200": 1, "none": 1, "404": 1}
    assert [(c["machine_id"], c["status"], c["fault"]) for c in record["requests"]] == [
        (machine["id"], 200, None),
        (machine["id"], None, "lost_answer"),
        ("0", 404, None),
    ]
    assert json.dumps(record).find(TOKEN) == -1
