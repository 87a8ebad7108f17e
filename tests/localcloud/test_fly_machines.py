"""What may be asked of a Machine, and how the local Fly answers when it may not."""

from typing import Any

import pytest

from localcloud.fly import LocalFly
from tests.parts.local_fly import FlyCaller

pytest_plugins = ("tests.parts.fly_fixtures",)


def path(machine: dict[str, Any], verb: str = "") -> str:
    return f"/apps/ada/machines/{machine['id']}" + (f"/{verb}" if verb else "")


@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "Bearer other"}, {"Authorization": "x"}])
async def test_nobody_gets_in_without_the_token(bare_call: FlyCaller, headers: dict[str, str]) -> None:
    assert await bare_call("GET", "/apps/ada", headers=headers) == (
        401,
        {"error": "Authenticate: token validation error"},
    )


async def test_both_schemes_of_flys_tokens_work(bare_call: FlyCaller) -> None:
    for scheme in ("Bearer", "FlyV1"):
        status, _ = await bare_call("GET", "/apps/ada", headers={"Authorization": f"{scheme} fly-test-token"})
        assert status == 404


async def test_a_created_machine_is_described_at_once(bare_call: FlyCaller) -> None:
    await bare_call.app()
    machine = await bare_call.machine(name="jarvis-ada", region="fra", config={"metadata": {"a": "b"}}, state=None)
    assert (machine["state"], machine["name"], machine["region"]) == ("created", "jarvis-ada", "fra")
    assert (len(machine["id"]), len(machine["instance_id"])) == (14, 26)
    assert machine["config"]["guest"] == {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
    assert machine["events"][0]["request"] is None
    _, same = await bare_call("GET", path(machine))
    assert same["id"] == machine["id"]


async def test_a_name_is_taken_once_in_an_app(bare_call: FlyCaller) -> None:
    """The refusal names the Machine that has it: this is how a create is made idempotent."""
    await bare_call.app()
    await bare_call.app("bob")
    machine = await bare_call.machine(name="jarvis")
    status, answer = await bare_call("POST", "/apps/ada/machines", {"name": "jarvis", "config": {"image": "x"}})
    assert (status, answer["error"]) == (
        409,
        f'already_exists: unique machine name violation, machine ID {machine["id"]} already exists with name "jarvis"',
    )
    await bare_call.machine("bob", name="jarvis", state=None)
    await bare_call("DELETE", path(machine), query={"force": "true"})
    await bare_call.wait(machine, "destroyed")
    await bare_call.machine(name="jarvis")


async def test_skip_launch_leaves_it_created(bare_call: FlyCaller) -> None:
    await bare_call.app()
    machine = await bare_call.machine(skip_launch=True, state="settled")
    assert await bare_call.state(machine) == "created"
    await bare_call.act(machine, "start", until="started")


async def test_a_machine_whose_image_is_not_there_yet_cannot_be_started(
    bare_fly: LocalFly, bare_call: FlyCaller
) -> None:
    bare_fly.latencies.create = 600
    await bare_call.app()
    machine = await bare_call.machine(state=None)
    assert await bare_call("POST", path(machine, "start")) == (
        412,
        {"error": "failed_precondition: unable to start machine from current state: 'created'"},
    )
    await bare_call.act(machine, "stop", until="stopped")


@pytest.mark.parametrize(
    ("state", "verb", "status"),
    [
        ("started", "start", 200),
        ("stopped", "stop", 200),
        ("stopped", "suspend", 412),
        ("suspended", "suspend", 412),
        ("suspended", "restart", 412),
        ("stopped", "signal", 412),
    ],
)
async def test_verbs_in_the_wrong_state(bare_call: FlyCaller, state: str, verb: str, status: int) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    if state != "started":
        await bare_call.act(machine, "stop" if state == "stopped" else "suspend", until=state)
    got, answer = await bare_call("POST", path(machine, verb), {"signal": "SIGTERM"} if verb == "signal" else None)
    assert got == status
    if status == 412:
        assert f"from current state: '{state}'" in answer["error"]
    assert await bare_call.state(machine) == state


async def test_starting_is_seen_and_refuses_a_second_start(bare_fly: LocalFly, bare_call: FlyCaller) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    await bare_call.act(machine, "stop", until="stopped")
    bare_fly.latencies.start = 600
    assert (await bare_call("POST", path(machine, "start")))[1]["previous_state"] == "stopped"
    assert await bare_call.state(machine) == "starting"
    status, answer = await bare_call("POST", path(machine, "start"))
    assert (status, "'starting'" in answer["error"]) == (412, True)


@pytest.mark.parametrize(
    "config",
    [
        {"guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 2304}},
        {"init": {"swap_size_mb": 512}},
        {"schedule": "daily"},
    ],
)
async def test_machines_too_large_or_odd_cannot_be_suspended(bare_call: FlyCaller, config: dict[str, Any]) -> None:
    await bare_call.app()
    machine = await bare_call.machine(config=config)
    status, answer = await bare_call("POST", path(machine, "suspend"))
    assert (status, "cannot be suspended" in answer["error"]) == (400, True)
    assert await bare_call.state(machine) == "started"


async def test_an_update_replaces_the_whole_config(bare_call: FlyCaller) -> None:
    await bare_call.app()
    machine = await bare_call.machine(config={"env": {"A": "1"}, "metadata": {"a": "b"}})
    status, updated = await bare_call("POST", path(machine), {"config": {"image": "registry.example/jarvis:2"}})
    assert (status, updated["state"]) == (200, "updating")
    assert updated["instance_id"] != machine["instance_id"]
    assert "env" not in updated["config"]
    assert updated["config"]["metadata"] == {}
    await bare_call.wait(updated, "started")
    _, versions = await bare_call("GET", path(machine, "versions"))
    assert [version["version"] for version in versions] == [updated["instance_id"], machine["instance_id"]]


@pytest.mark.parametrize(("verb", "asleep"), [("stop", "stopped"), ("suspend", "suspended")])
async def test_an_update_of_a_sleeping_machine_leaves_it_stopped(bare_call: FlyCaller, verb: str, asleep: str) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    await bare_call.act(machine, verb, until=asleep)
    _, updated = await bare_call("POST", path(machine), {"config": {"image": "x"}})
    await bare_call.wait(updated, "stopped")


async def test_an_update_with_skip_launch_keeps_a_machine_down(bare_call: FlyCaller) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    _, updated = await bare_call("POST", path(machine), {"config": {"image": "x"}, "skip_launch": True})
    await bare_call.wait(updated, "settled")
    assert await bare_call.state(machine) == "created"


async def test_while_it_is_updated_it_can_be_neither_started_nor_updated(
    bare_fly: LocalFly, bare_call: FlyCaller
) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    bare_fly.latencies.update = 600
    await bare_call("POST", path(machine), {"config": {"image": "x"}})
    assert await bare_call("POST", path(machine, "start")) == (
        412,
        {"error": "failed_precondition: machine getting replaced, refusing to start"},
    )
    assert await bare_call("POST", path(machine), {"config": {"image": "x"}}) == (
        409,
        {"error": "aborted: machine update failed due to concurrent update"},
    )


@pytest.mark.parametrize(
    ("wishes", "status"),
    [
        ({"name": "other"}, 400),
        ({"region": "ams"}, 400),
        ({"current_version": "01JOLD"}, 409),
        ({"config": {"image": "x", "mounts": [{"volume": "vol_1", "path": "/data"}]}}, 400),
        ({"config": {}}, 400),
    ],
)
async def test_updates_that_are_refused(bare_call: FlyCaller, wishes: dict[str, Any], status: int) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    assert (await bare_call("POST", path(machine), {"config": {"image": "x"}} | wishes))[0] == status
    _, after = await bare_call("GET", path(machine))
    assert (after["state"], after["instance_id"]) == ("started", machine["instance_id"])


async def test_a_running_machine_is_destroyed_only_by_force(bare_call: FlyCaller) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    status, answer = await bare_call("DELETE", path(machine))
    assert (status, "'started'" in answer["error"]) == (412, True)
    assert (await bare_call("DELETE", path(machine), query={"force": "true"}))[0] == 200


async def test_a_destroyed_machine_is_seen_for_a_while_and_then_gone(bare_fly: LocalFly, bare_call: FlyCaller) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    bare_fly.latencies.afterlife = 600
    await bare_call("DELETE", path(machine), query={"force": "true"})
    await bare_call.wait(machine, "destroyed")
    assert await bare_call.state(machine) == "destroyed"
    assert (await bare_call("DELETE", path(machine), query={"force": "true"}))[0] == 404
    bare_fly.latencies.afterlife = 0
    assert (await bare_call("GET", path(machine)))[0] == 404
    assert (await bare_call("GET", "/apps/ada/machines"))[1] == []
    _, with_deleted = await bare_call("GET", "/apps/ada/machines", query={"include_deleted": "true"})
    assert [m["state"] for m in with_deleted] == ["destroyed"]


async def test_lists_are_filtered(bare_call: FlyCaller) -> None:
    await bare_call.app()
    one = await bare_call.machine(name="one", region="fra", config={"metadata": {"env": "a", "who": "1"}})
    await bare_call.machine(name="two", region="iad", config={"metadata": {"env": "a", "who": "2"}})
    await bare_call.act(one, "suspend", until="suspended")

    async def names(**query: str) -> list[str]:
        _, machines = await bare_call("GET", "/apps/ada/machines", query=query)
        return sorted(machine["name"] for machine in machines)

    assert await names() == ["one", "two"]
    assert await names(region="fra") == ["one"]
    assert await names(state="suspended") == ["one"]
    assert await names(state="suspended,started") == ["one", "two"]
    assert await names(**{"metadata.env": "a"}) == ["one", "two"]
    assert await names(**{"metadata.env": "a", "metadata.who": "2"}) == ["two"]
    assert await names(**{"metadata.nothing": ""}) == []
    _, summary = await bare_call("GET", "/apps/ada/machines", query={"summary": "true"})
    assert not {"config", "checks", "events", "host_status", "nonce"} & set(summary[0])


async def test_the_whole_organization_is_paged(bare_call: FlyCaller) -> None:
    """The source for finding orphans when every user has an app of their own."""
    ids = set()
    for name in ("ada", "bob", "eve"):
        await bare_call.app(name)
        ids.add((await bare_call.machine(name, state=None))["id"])
    _, first = await bare_call("GET", "/orgs/personal/machines", query={"limit": "2"})
    _, second = await bare_call("GET", "/orgs/personal/machines", query={"limit": "2", "cursor": first["next_cursor"]})
    assert [len(page["machines"]) for page in (first, second)] == [2, 1]
    assert {machine["id"] for page in (first, second) for machine in page["machines"]} == ids
    assert {machine["app_name"] for machine in first["machines"] + second["machines"]} == {"ada", "bob", "eve"}
    assert "next_cursor" not in second
    assert (await bare_call("GET", "/orgs/other/machines"))[1]["machines"] == []


async def test_a_host_out_of_reach(bare_call: FlyCaller) -> None:
    """The config cannot be read, nothing can be asked; only a forced delete works."""
    await bare_call.app()
    machine = await bare_call.machine()
    await bare_call("PUT", f"/_local/machines/{machine['id']}/host", {"status": "unreachable"})
    _, seen = await bare_call("GET", path(machine))
    assert (seen["host_status"], "config" in seen, "incomplete_config" in seen) == ("unreachable", False, True)
    assert (await bare_call("POST", path(machine, "suspend")))[0] == 503
    assert (await bare_call("DELETE", path(machine)))[0] == 503
    assert (await bare_call("DELETE", path(machine), query={"force": "true"}))[0] == 200


@pytest.mark.parametrize("limit", ["0", "51"])
async def test_events_come_newest_first_and_at_most_fifty(bare_call: FlyCaller, limit: str) -> None:
    await bare_call.app()
    machine = await bare_call.machine()
    _, events = await bare_call("GET", path(machine, "events"))
    assert [event["status"] for event in events] == ["started", "starting", "created"]
    _, latest = await bare_call("GET", path(machine, "events"), query={"limit": "1"})
    assert latest == events[:1]
    assert (await bare_call("GET", path(machine, "events"), query={"limit": limit}))[0] == 400
