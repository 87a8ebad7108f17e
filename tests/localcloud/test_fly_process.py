"""A Machine of the local Fly is a real process: it counts, freezes, goes on, and never outlives its cloud."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from localcloud.fly import LocalFly, local_fly
from localcloud.fly.limits import UNLIMITED
from tests.parts.local_fly import PROGRAM, TOKEN, FlyCaller

pytest_plugins = ("tests.parts.fly_fixtures",)


async def ask(machine: dict[str, Any], *, patience: float = 10) -> dict[str, Any]:
    """What the Machine's program answers, as soon as it listens."""
    deadline = time.monotonic() + patience
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.5)) as session:
        while True:
            try:
                async with session.get(f"http://{machine['private_ip']}:8080/") as answer:
                    whole: dict[str, Any] = await answer.json(content_type=None)
                    return whole
            except (aiohttp.ClientError, TimeoutError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.02)


async def until(true: Callable[[], bool], *, patience: float = 10) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


async def test_a_started_machine_answers_at_its_own_address(call: FlyCaller) -> None:
    await call.app()
    one, other = await call.machine(), await call.machine()
    assert one["private_ip"].startswith("127.")
    assert one["private_ip"] != other["private_ip"]
    assert (await ask(one))["pid"] != (await ask(other))["pid"]


async def test_the_machine_sees_its_config_and_nothing_of_its_host(
    call: FlyCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret of the process that runs the local cloud must not leak into a Machine."""
    monkeypatch.setenv("COMPANY_ANTHROPIC_KEY", "sk-secret")
    await call.app()
    machine = await call.machine(config={"env": {"COLOUR": "blue"}, "guest": {"memory_mb": 512}}, region="fra")
    env = (await ask(machine))["env"]
    assert "COMPANY_ANTHROPIC_KEY" not in env
    assert env["COLOUR"] == "blue"
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)  # `python` has this project
    assert env["JARVIS_LISTEN"] == f"{machine['private_ip']}:8080"
    assert {key: env[key] for key in sorted(env) if key.startswith("FLY_")} == {
        "FLY_ALLOC_ID": machine["id"],
        "FLY_APP_NAME": "ada",
        "FLY_IMAGE_REF": "registry.example/jarvis:1",
        "FLY_MACHINE_ID": machine["id"],
        "FLY_MACHINE_VERSION": machine["instance_id"],
        "FLY_PRIVATE_IP": machine["private_ip"],
        "FLY_PROCESS_GROUP": "app",
        "FLY_REGION": "fra",
        "FLY_VM_MEMORY_MB": "512",
    }


async def test_a_suspended_machine_goes_on_where_it_was(call: FlyCaller) -> None:
    """Suspending keeps what is in memory: the same process, and a count that did not move meanwhile."""
    await call.app()
    machine = await call.machine()
    before = await ask(machine)
    await call.act(machine, "suspend", until="suspended")
    with pytest.raises(TimeoutError):
        await ask(machine, patience=0)
    await call.act(machine, "start", until="started")
    after = await ask(machine)
    assert after["pid"] == before["pid"]
    assert before["count"] < after["count"] < before["count"] + 40  # the half second of the refused ask is missing


async def test_a_start_while_suspending_cancels_the_snapshot(fly: LocalFly, call: FlyCaller) -> None:
    fly.latencies.suspend = 600
    await call.app()
    machine = await call.machine()
    before = await ask(machine)
    await call("POST", f"/apps/ada/machines/{machine['id']}/suspend")
    assert await call.state(machine) == "suspending"
    status, answer = await call("POST", f"/apps/ada/machines/{machine['id']}/start")
    assert (status, answer["previous_state"]) == (200, "suspending")
    assert await call.state(machine) == "started"
    assert (await ask(machine))["pid"] == before["pid"]


async def test_a_stopped_machine_starts_anew(call: FlyCaller) -> None:
    await call.app()
    machine = await call.machine()
    before = await ask(machine)
    await call.act(machine, "stop", until="stopped")
    assert not lives(before["pid"])
    await call.act(machine, "start", until="started")
    assert (await ask(machine))["pid"] != before["pid"]


async def test_a_process_deaf_to_its_signal_is_killed(call: FlyCaller) -> None:
    await call.app()
    machine = await call.machine(config={"env": {"DEAF": "1"}})
    pid = (await ask(machine))["pid"]
    await call("POST", f"/apps/ada/machines/{machine['id']}/stop", {"signal": "SIGTERM", "timeout": "100ms"})
    await call.wait(machine, "stopped")
    assert not lives(pid)
    _, events = await call("GET", f"/apps/ada/machines/{machine['id']}/events")
    exit_event = events[0]["request"]["exit_event"]
    assert (exit_event["exit_code"], exit_event["guest_signal"], exit_event["requested_stop"]) == (137, 9, True)


@pytest.mark.parametrize("kind", ["group", "daemon"])
async def test_no_child_survives_its_machine(call: FlyCaller, kind: str) -> None:
    """Also one that made a session of its own."""
    await call.app()
    machine = await call.machine(config={"env": {"CHILD": kind}})
    seen = await ask(machine)
    assert lives(seen["child"])
    await call("DELETE", f"/apps/ada/machines/{machine['id']}", query={"force": "true"})
    await call.wait(machine, "destroyed")
    await until(lambda: not lives(seen["pid"]) and not lives(seen["child"]))


async def test_nothing_is_left_when_the_cloud_closes(tmp_path: Path) -> None:
    """Started, suspended and frozen Machines alike."""
    async with local_fly(tmp_path, token=TOKEN, command=PROGRAM, limits=UNLIMITED) as fly, FlyCaller(fly.url) as call:
        await call.app()
        machines = [await call.machine(config={"env": {"CHILD": "daemon"}}) for _ in range(3)]
        seen = [await ask(machine) for machine in machines]
        await call.act(machines[1], "suspend", until="suspended")
        await call("POST", f"/_local/machines/{machines[2]['id']}/freeze")
    assert not [pid for process in seen for pid in (process["pid"], process["child"]) if lives(pid)]


async def test_a_crash_is_noticed_and_the_machine_started_again(call: FlyCaller) -> None:
    await call.app()
    machine = await call.machine()
    before = await ask(machine)
    _, events = await call("GET", f"/apps/ada/machines/{machine['id']}/events")
    await call("POST", f"/_local/machines/{machine['id']}/crash")
    query = {"state": "started", "from_event_id": events[0]["id"]}
    status, _ = await call("GET", f"/apps/ada/machines/{machine['id']}/wait", query=query)
    assert status == 200
    assert (await ask(machine))["pid"] != before["pid"]
    _, events = await call("GET", f"/apps/ada/machines/{machine['id']}/events")
    exits = [event["request"]["exit_event"] for event in events if event["type"] == "exit"]
    assert [(e["exit_code"], e["requested_stop"], e["restarting"]) for e in exits] == [(137, False, True)]


async def test_a_machine_that_crashes_for_ever_stops_after_its_retries(call: FlyCaller) -> None:
    await call.app()
    config = {"env": {"EXIT_AFTER_MS": "1", "EXIT_CODE": "3"}, "restart": {"policy": "on-failure", "max_retries": 2}}
    machine = await call.machine(config=config, state=None)
    machine_path = f"/apps/ada/machines/{machine['id']}"
    await until_exits(call, machine_path, 3)
    _, events = await call("GET", machine_path + "/events")
    exits = [event["request"]["exit_event"] for event in events if event["type"] == "exit"]
    assert [e["restarting"] for e in exits] == [False, True, True]
    assert exits[0]["exit_code"] == 3
    assert await call.state(machine) == "stopped"


async def until_exits(call: FlyCaller, path: str, number: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        _, events = await call("GET", path + "/events")
        if sum(event["type"] == "exit" for event in events) == number:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_command_that_does_not_exist_leaves_a_failed_machine(tmp_path: Path) -> None:
    async with (
        local_fly(tmp_path, token=TOKEN, command=["/no/such/command"], limits=UNLIMITED) as fly,
        FlyCaller(fly.url) as call,
    ):
        await call.app()
        await call.machine(state="failed")


async def test_exec_runs_in_the_machine(call: FlyCaller) -> None:
    """With its environment, in its data directory; a failing command is an answer, not an error."""
    await call.app()
    _, volume = await call("POST", "/apps/ada/volumes", {"name": "data", "size_gb": 1})
    machine = await call.machine(config={"mounts": [{"volume": volume["id"], "path": "/data"}]})
    path = f"/apps/ada/machines/{machine['id']}/exec"
    script = "cat > note; echo $FLY_MACHINE_ID; echo oops >&2; exit 3"
    status, outcome = await call("POST", path, {"command": ["sh", "-c", script], "stdin": "hello"})
    assert (status, outcome) == (
        200,
        {"exit_code": 3, "exit_signal": 0, "stdout": machine["id"] + "\n", "stderr": "oops\n"},
    )
    _, outcome = await call("POST", path, {"cmd": "cat note"})
    assert outcome["stdout"] == "hello"
    status, outcome = await call("POST", path, {"command": ["no-such-binary"]})
    assert (status, outcome["exit_code"]) == (200, 127)
    status, outcome = await call("POST", path, {"command": ["sleep", "60"], "timeout": 1})
    assert (status, outcome["error"].split(":")[0]) == (408, "deadline_exceeded")
    assert Path((await ask(machine))["env"]["DATA_DIR"], "note").read_text() == "hello"  # noqa: ASYNC240
