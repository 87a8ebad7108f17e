"""A volume is a folder that outlives the processes that use it."""

from pathlib import Path
from typing import Any

import pytest

from localcloud.fly import LocalFly
from tests.parts.local_fly import FlyCaller

pytest_plugins = ("tests.parts.fly_fixtures",)


async def volume(call: FlyCaller, **wishes: Any) -> dict[str, Any]:
    status, made = await call("POST", "/apps/ada/volumes", {"name": "jarvis_data", "size_gb": 1} | wishes)
    assert status == 200, made
    return dict(made)


def mounting(made: dict[str, Any]) -> dict[str, Any]:
    return {"mounts": [{"volume": made["id"], "path": "/data"}]}


def folder(fly: LocalFly, made: dict[str, Any]) -> Path:
    return fly.world.disk.volume(made["id"])


async def test_what_a_machine_writes_is_there_after_a_restart(call: FlyCaller, fly: LocalFly) -> None:
    await call.app()
    made = await volume(call)
    machine = await call.machine(config=mounting(made))
    path = f"/apps/ada/machines/{machine['id']}"
    await call("POST", path + "/exec", {"command": ["sh", "-c", "echo kept > $DATA_DIR/note"]})
    await call.act(machine, "stop", until="stopped")
    await call.act(machine, "start", until="started")
    _, outcome = await call("POST", path + "/exec", {"command": ["cat", "note"]})
    assert outcome["stdout"] == "kept\n"
    assert (folder(fly, made) / "note").read_text() == "kept\n"


async def test_without_a_volume_a_cold_start_forgets(call: FlyCaller) -> None:
    """The root file system is reset by a stop, and not by a suspend."""
    await call.app()
    machine = await call.machine()
    path = f"/apps/ada/machines/{machine['id']}"
    await call("POST", path + "/exec", {"command": ["touch", "note"]})
    await call.act(machine, "suspend", until="suspended")
    await call.act(machine, "start", until="started")
    assert (await call("POST", path + "/exec", {"command": ["ls"]}))[1]["stdout"] == "note\n"
    await call.act(machine, "stop", until="stopped")
    await call.act(machine, "start", until="started")
    assert (await call("POST", path + "/exec", {"command": ["ls"]}))[1]["stdout"] == ""


async def test_one_volume_one_machine(bare_call: FlyCaller) -> None:
    await bare_call.app()
    made = await volume(bare_call)
    machine = await bare_call.machine(config=mounting(made))
    one = f"/apps/ada/volumes/{made['id']}"
    assert (await bare_call("GET", one))[1]["attached_machine_id"] == machine["id"]
    config = {"image": "x"} | mounting(made)
    assert (await bare_call("POST", "/apps/ada/machines", {"config": config}))[0] == 412
    assert (await bare_call("DELETE", one))[0] == 412
    await bare_call("DELETE", f"/apps/ada/machines/{machine['id']}", query={"force": "true"})
    await bare_call.wait(machine, "destroyed")
    assert "attached_machine_id" not in (await bare_call("GET", one))[1]
    await bare_call.machine(config=mounting(made))


@pytest.mark.parametrize(
    ("mounts", "error"),
    [
        ([{"volume": "vol_unknown", "path": "/data"}], "volume not found"),
        ([{"volume": "vol_1"}], "config.mounts"),
        ([{"volume": "vol_1", "path": "/a"}, {"volume": "vol_2", "path": "/b"}], "config.mounts"),
    ],
)
async def test_mounts_that_cannot_be(bare_call: FlyCaller, mounts: list[dict[str, str]], error: str) -> None:
    await bare_call.app()
    status, answer = await bare_call("POST", "/apps/ada/machines", {"config": {"image": "x", "mounts": mounts}})
    assert (status, error in answer["error"]) == (400, True)
    assert (await bare_call("GET", "/apps/ada/machines"))[1] == []


async def test_a_machine_goes_where_its_volume_is(bare_call: FlyCaller) -> None:
    await bare_call.app()
    made = await volume(bare_call, region="fra")
    config = {"image": "x"} | mounting(made)
    assert (await bare_call("POST", "/apps/ada/machines", {"region": "iad", "config": config}))[0] == 400
    await bare_call.machine(region="fra", config=mounting(made))


async def test_a_deleted_volume_answers_but_cannot_be_mounted(bare_call: FlyCaller, bare_fly: LocalFly) -> None:
    """A delete can be regretted for a day: the data stays that long."""
    await bare_call.app()
    made = await volume(bare_call)
    one = f"/apps/ada/volumes/{made['id']}"
    assert (await bare_call("DELETE", one))[1]["state"] == "pending_destroy"
    assert (await bare_call("GET", one))[1]["state"] == "pending_destroy"
    status, answer = await bare_call("POST", "/apps/ada/machines", {"config": {"image": "x"} | mounting(made)})
    assert (status, "volume not found" in answer["error"]) == (400, True)
    assert folder(bare_fly, made).exists()


async def test_extend_only_grows(bare_call: FlyCaller) -> None:
    await bare_call.app()
    made = await volume(bare_call, size_gb=2)
    one = f"/apps/ada/volumes/{made['id']}/extend"
    _, answer = await bare_call("PUT", one, {"size_gb": 4})
    assert (answer["volume"]["size_gb"], answer["needs_restart"]) == (4, False)
    assert (await bare_call("PUT", one, {"size_gb": 3}))[0] == 400
    assert (await bare_call("PUT", one, {}))[0] == 400
    assert (await bare_call("PUT", one, {"size_gb": 501}))[0] == 400
    await bare_call.machine(config=mounting(made))
    assert (await bare_call("PUT", one, {"size_gb": 5}))[1]["needs_restart"] is True


async def test_a_snapshot_keeps_what_was_there_then(bare_call: FlyCaller, bare_fly: LocalFly) -> None:
    await bare_call.app()
    made = await volume(bare_call)
    (folder(bare_fly, made) / "note").write_text("before")
    _, snapshot = await bare_call("POST", f"/apps/ada/volumes/{made['id']}/snapshots")
    (folder(bare_fly, made) / "note").write_text("after")
    restored = await volume(bare_call, snapshot_id=snapshot["id"])
    fork = await volume(bare_call, source_volume_id=made["id"])
    assert (folder(bare_fly, restored) / "note").read_text() == "before"
    assert (folder(bare_fly, fork) / "note").read_text() == "after"
    _, listed = await bare_call("GET", f"/apps/ada/volumes/{made['id']}/snapshots")
    assert [(s["id"], s["size"]) for s in listed] == [(snapshot["id"], 6)]


async def test_a_volume_that_takes_its_time_is_not_mountable_yet(bare_call: FlyCaller, bare_fly: LocalFly) -> None:
    bare_fly.latencies.volume = 600
    await bare_call.app()
    made = await volume(bare_call)
    assert made["state"] == "creating"
    status, _ = await bare_call("POST", "/apps/ada/machines", {"config": {"image": "x"} | mounting(made)})
    assert status == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x", "size_gb": 501},
        {"name": "x", "size_gb": -1},
        {"name": "x", "fstype": "ntfs"},
        {"name": "x", "snapshot_retention": 61},
        {"name": "x", "region": "any"},
        {"name": "x", "region": "atlantis"},
    ],
)
async def test_volumes_that_cannot_be(bare_call: FlyCaller, body: dict[str, Any]) -> None:
    await bare_call.app()
    assert (await bare_call("POST", "/apps/ada/volumes", body))[0] == 400


async def test_unknown_sources_are_404(bare_call: FlyCaller) -> None:
    await bare_call.app()
    for source in ({"snapshot_id": "vs_1"}, {"source_volume_id": "vol_1"}):
        assert (await bare_call("POST", "/apps/ada/volumes", {"name": "x"} | source))[0] == 404


async def test_only_backups_can_be_changed(bare_call: FlyCaller) -> None:
    await bare_call.app()
    made = await volume(bare_call)
    one = f"/apps/ada/volumes/{made['id']}"
    _, answer = await bare_call("PUT", one, {"snapshot_retention": 9, "auto_backup_enabled": False})
    assert (answer["snapshot_retention"], answer["auto_backup_enabled"]) == (9, False)
    assert (await bare_call("PUT", one, {"snapshot_retention": 0}))[0] == 400
