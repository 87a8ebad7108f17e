"""What outlives the stand-in, and what must not: volumes and records stay, processes never do."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from localcloud.fly import local_fly
from localcloud.fly.limits import UNLIMITED
from localcloud.fly.tree import Tree
from tests.parts.local_fly import PROGRAM, TOKEN, FlyCaller


async def test_everything_but_the_processes_is_there_again(tmp_path: Path) -> None:
    """Stopping the laptop's cloud at night and starting it in the morning loses no user."""
    async with local_fly(tmp_path, token=TOKEN, command=PROGRAM, limits=UNLIMITED) as fly, FlyCaller(fly.url) as call:
        await call.app()
        _, volume = await call("POST", "/apps/ada/volumes", {"name": "data", "size_gb": 1})
        config = {"metadata": {"instance": "1"}, "mounts": [{"volume": volume["id"], "path": "/data"}]}
        machine = await call.machine(config=config)
        asleep = await call.machine()
        await call.act(asleep, "suspend", until="suspended")
        unlaunched = await call.machine(skip_launch=True, state="settled")
        gone = await call.machine()
        await call("DELETE", f"/apps/ada/machines/{gone['id']}", query={"force": "true"})
        await call.wait(gone, "destroyed")
        path = f"/apps/ada/machines/{machine['id']}"
        await call("POST", path + "/exec", {"command": ["touch", "note"]})

    async with local_fly(tmp_path, token=TOKEN, command=PROGRAM, limits=UNLIMITED) as fly, FlyCaller(fly.url) as call:
        _, machines = await call("GET", "/apps/ada/machines", query={"include_deleted": "true"})
        assert {m["id"]: m["state"] for m in machines} == {
            machine["id"]: "stopped",
            asleep["id"]: "stopped",
            unlaunched["id"]: "created",
        }
        _, found = await call("GET", "/apps/ada/machines", query={"metadata.instance": "1"})
        assert [m["instance_id"] for m in found] == [machine["instance_id"]]
        await call.act(machine, "start", until="started")
        _, outcome = await call("POST", path + "/exec", {"command": ["ls"]})
        assert outcome["stdout"] == "note\n"
        assert (await call("DELETE", f"/apps/ada/volumes/{volume['id']}"))[0] == 412


async def test_the_record_is_private(tmp_path: Path) -> None:
    """It holds the environments of Machines, and those hold keys."""
    async with local_fly(tmp_path, token=TOKEN, command=None, limits=UNLIMITED) as fly, FlyCaller(fly.url) as call:
        await call.app()
    assert (tmp_path / "fly.json").stat().st_mode & 0o077 == 0


STAND_IN = """
import asyncio, json, sys
from pathlib import Path
from localcloud.fly import local_fly
from tests.parts.local_fly import PROGRAM, FlyCaller, TOKEN

async def main():
    async with local_fly(Path(sys.argv[1]), token=TOKEN, command=PROGRAM) as fly, FlyCaller(fly.url) as call:
        await call.app()
        machine = await call.machine(config={"env": {"CHILD": "daemon"}})
        _, local = await call("GET", "/_local/machines")
        print(json.dumps(local["machines"][0]), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_stand_in_takes_its_machines_along(tmp_path: Path) -> None:
    """kill -9 leaves it no time to clean up; somebody else must, down to the daemons."""
    stand_in = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STAND_IN, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert stand_in.stdout is not None
    machine = json.loads(await stand_in.stdout.readline())
    tree = Tree(machine["pid"], (f"FLY_MACHINE_ID={machine['id']}",))
    await until(lambda: len(tree.members()) == 2)
    tree.send(signal.SIGSTOP)
    stand_in.kill()
    await stand_in.wait()
    await until(lambda: not tree.members())


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_a_process_finds_all_of_its_tree() -> None:
    """In its group, out of it, and cut off from its parent."""
    script = "sleep 60 & setsid sleep 60 & (setsid sh -c 'sleep 60 & exit' &) ; exec sleep 60"
    leader = os.posix_spawn(
        "/bin/sh", ["sh", "-c", script], {"MARK": "tree-test", "PATH": os.environ["PATH"]}, setsid=True
    )
    tree = Tree(leader, ("MARK=tree-test",))
    deadline = time.monotonic() + 10
    while len(tree.members()) < 4:
        assert time.monotonic() < deadline
    assert tree.members()[0] == leader
    tree.send(signal.SIGKILL)
    os.waitpid(leader, 0)
    while tree.members():
        assert time.monotonic() < deadline
