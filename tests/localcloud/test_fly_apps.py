"""Apps, their addresses and secrets; regions and placements."""

import asyncio
from ipaddress import ip_address
from typing import Any

import pytest

from localcloud.fly import LocalFly
from tests.parts.local_fly import FlyCaller

pytest_plugins = ("tests.parts.fly_fixtures",)


@pytest.mark.parametrize("key", ["name", "app_name"])
async def test_an_app_by_either_word(bare_call: FlyCaller, key: str) -> None:
    """Fly's document says name, its guides say app_name, and both are in use."""
    status, made = await bare_call("POST", "/apps", {key: "ada", "org_slug": "personal", "network": "net-ada"})
    assert (status, set(made)) == (201, {"id", "created_at"})
    _, app = await bare_call("GET", "/apps/ada")
    assert (app["id"], app["network"], app["machine_count"]) == (made["id"], "net-ada", 0)
    assert app["organization"]["slug"] == "personal"


@pytest.mark.parametrize("name", ["Ada", "a_b", "", "a" * 63, "-a", None])
async def test_bad_names(bare_call: FlyCaller, name: str | None) -> None:
    body = {"org_slug": "personal"} | ({} if name is None else {"name": name})
    status, answer = await bare_call("POST", "/apps", body)
    assert (status, answer["error"].startswith("Validation failed: Name under 63 chars")) == (422, True)


async def test_a_name_is_taken_once(bare_call: FlyCaller) -> None:
    await bare_call.app()
    assert await bare_call("POST", "/apps", {"name": "ada", "org_slug": "other"}) == (
        422,
        {"error": "Validation failed: Name has already been taken", "status": "name_taken"},
    )


async def test_apps_are_listed_by_organization(bare_call: FlyCaller) -> None:
    await bare_call.app()
    await bare_call("POST", "/apps", {"name": "bob", "org_slug": "other"})
    _, listed = await bare_call("GET", "/apps", query={"org_slug": "other"})
    assert (listed["total_apps"], [app["name"] for app in listed["apps"]]) == (1, ["bob"])


async def test_deleting_an_app_takes_everything_along_but_not_at_once(bare_call: FlyCaller, bare_fly: LocalFly) -> None:
    await bare_call.app()
    _, volume = await bare_call("POST", "/apps/ada/volumes", {"name": "data", "size_gb": 1})
    await bare_call.machine(config={"mounts": [{"volume": volume["id"], "path": "/data"}]})
    await bare_call.machine(skip_launch=True, state="settled")
    folder = bare_fly.world.disk.volume(volume["id"])
    assert (await bare_call("DELETE", "/apps/ada", query={"force": "true"}))[0] == 202
    assert (await bare_call("POST", "/apps", {"name": "ada", "org_slug": "personal"}))[0] == 422
    assert (await bare_call("POST", "/apps/ada/machines", {"config": {"image": "x"}}))[0] == 404
    async with asyncio.timeout(10):
        while (await bare_call("GET", "/apps/ada"))[0] != 404:
            pass
    assert not folder.exists()
    await bare_call.app()
    assert (await bare_call("GET", "/apps/ada/machines"))[1] == []


async def test_addresses(bare_call: FlyCaller) -> None:
    await bare_call.app()
    path = "/apps/ada/ip_assignments"
    _, flycast = await bare_call("POST", path, {"type": "private_v6", "network": "default"})
    assert ip_address(flycast["ip"].partition(":")[0]).is_loopback  # where it answers; an fdaa: here would not
    assert (await bare_call("POST", path, {"type": "private_v6"}))[0] == 422
    assert (await bare_call("POST", path, {"type": "v5"}))[0] == 400
    await bare_call("POST", path, {"type": "v6"})
    assert len((await bare_call("GET", path))[1]["ips"]) == 2
    assert (await bare_call("DELETE", f"{path}/{flycast['ip']}"))[0] == 204
    assert (await bare_call("DELETE", f"{path}/{flycast['ip']}"))[0] == 404


async def test_secrets_reach_machines_made_or_updated_later(call: FlyCaller) -> None:
    await call.app()
    early = await call.machine()
    status, answer = await call("POST", "/apps/ada/secrets/KEY", {"value": "v1"})
    assert (status, answer["version"], "value" in answer) == (201, 1, False)
    late = await call.machine()
    shown = {"command": ["sh", "-c", "echo $KEY"]}

    async def key_in(machine: dict[str, Any]) -> str:
        return str((await call("POST", f"/apps/ada/machines/{machine['id']}/exec", shown))[1]["stdout"])

    assert (await key_in(early), await key_in(late)) == ("\n", "v1\n")
    _, updated = await call("POST", f"/apps/ada/machines/{early['id']}", {"config": {"image": "x"}})
    await call.wait(updated, "started")
    assert await key_in(early) == "v1\n"


async def test_secrets_are_kept_apart_from_their_values(bare_call: FlyCaller) -> None:
    await bare_call.app()
    await bare_call("POST", "/apps/ada/secrets", {"values": {"A": "1", "B": "2"}})
    await bare_call("POST", "/apps/ada/secrets", {"values": {"A": None}})
    _, hidden = await bare_call("GET", "/apps/ada/secrets")
    assert [(s["name"], "value" in s) for s in hidden["secrets"]] == [("B", False)]
    _, shown = await bare_call("GET", "/apps/ada/secrets/B", query={"show_secrets": "true"})
    assert shown["value"] == "2"
    assert (await bare_call("DELETE", "/apps/ada/secrets/B"))[1]["version"] == 3
    assert (await bare_call("GET", "/apps/ada/secrets/B"))[0] == 404
    assert (await bare_call("DELETE", "/apps/ada/secrets/B"))[0] == 404


async def test_regions_have_capital_keys(bare_call: FlyCaller) -> None:
    _, answer = await bare_call("GET", "/platform/regions")
    assert answer["Nearest"] == "iad"
    assert {"iad", "fra"} <= {region["code"] for region in answer["Regions"]}


async def test_a_placement_is_a_dry_run(bare_call: FlyCaller) -> None:
    _, answer = await bare_call("POST", "/platform/placements", {"org_slug": "personal", "region": "fra", "count": 2})
    assert answer["regions"] == [{"region": "fra", "count": 2, "concurrency": 0}]
