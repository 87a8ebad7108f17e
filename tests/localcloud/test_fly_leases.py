"""Leases keep others off a Machine; metadata is the compare-and-set that needs none."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.fly import local_fly
from localcloud.fly.limits import UNLIMITED
from tests.parts.clock import ManualClock
from tests.parts.local_fly import TOKEN, FlyCaller

NONCE = "fly-machine-lease-nonce"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def call(tmp_path: Path, clock: ManualClock) -> AsyncIterator[FlyCaller]:
    async with (
        local_fly(tmp_path, token=TOKEN, command=None, limits=UNLIMITED, clock=clock) as running,
        FlyCaller(running.url) as caller,
    ):
        await caller.app()
        yield caller


@pytest.fixture
async def machine(call: FlyCaller, clock: ManualClock) -> dict[str, Any]:
    made = await call.machine(state=None, config={"metadata": {"owner": "ada"}})
    await clock.advance(seconds=1)
    return made


def path(machine: dict[str, Any], rest: str = "") -> str:
    return f"/apps/ada/machines/{machine['id']}{rest}"


async def leased(call: FlyCaller, machine: dict[str, Any], ttl: int = 13) -> str:
    status, answer = await call("POST", path(machine, "/lease"), {"ttl": ttl, "description": "deploy"})
    assert (status, answer["status"]) == (201, "success")
    return str(answer["data"]["nonce"])


GUARDED = [
    ("POST", "/suspend", None),
    ("POST", "/stop", None),
    ("POST", "/start", None),
    ("POST", "/restart", None),
    ("POST", "/cordon", None),
    ("POST", "/uncordon", None),
    ("POST", "", {"config": {"image": "x"}}),
    ("DELETE", "?force=true", None),
]


@pytest.mark.parametrize(("method", "rest", "body"), GUARDED)
async def test_a_held_machine_obeys_its_holder_alone(
    call: FlyCaller, machine: dict[str, Any], method: str, rest: str, body: object
) -> None:
    nonce = await leased(call, machine)
    for headers in ({}, {NONCE: "other"}):
        status, answer = await call(method, path(machine, rest), body, headers=headers)
        assert (status, answer["status"]) == (409, "error")
        assert answer["message"].startswith(f"machine ID {machine['id']} lease currently held by ")
        assert answer["message"].endswith("@tokens.fly.io, expires at 2026-01-01T00:00:14.000Z")
    assert (await call(method, path(machine, rest), body, headers={NONCE: nonce}))[0] == 200


async def test_metadata_asks_for_no_lease(call: FlyCaller, machine: dict[str, Any]) -> None:
    await leased(call, machine)
    assert (await call("POST", path(machine, "/metadata/a"), {"value": "b"}))[0] == 204


async def test_a_second_lease_is_refused_until_the_first_ends(
    call: FlyCaller, machine: dict[str, Any], clock: ManualClock
) -> None:
    nonce = await leased(call, machine)
    status, answer = await call("POST", path(machine, "/lease"), {"ttl": 13})
    assert (status, "lease currently held by" in answer["error"]) == (409, True)
    await clock.advance(seconds=12)
    _, refreshed = await call("POST", path(machine, "/lease"), {"ttl": 13}, headers={NONCE: nonce})
    assert refreshed["data"]["nonce"] == nonce
    await clock.advance(seconds=12)
    assert (await call("POST", path(machine, "/lease"), {"ttl": 13}))[0] == 409
    await clock.advance(seconds=1)
    assert await leased(call, machine) != nonce


async def test_a_lease_is_shown_without_its_nonce_and_given_back_with_it(
    call: FlyCaller, machine: dict[str, Any]
) -> None:
    assert (await call("GET", path(machine, "/lease")))[0] == 404
    nonce = await leased(call, machine)
    _, shown = await call("GET", path(machine, "/lease"))
    assert (shown["data"]["description"], "nonce" in shown["data"]) == ("deploy", False)
    assert (await call("DELETE", path(machine, "/lease")))[0] == 400
    assert (await call("DELETE", path(machine, "/lease"), headers={NONCE: "other"}))[0] == 400
    assert (await call("DELETE", path(machine, "/lease"), headers={NONCE: nonce}))[0] == 200
    assert (await call("GET", path(machine, "/lease")))[0] == 404


async def test_ttl_may_come_in_the_query(call: FlyCaller, machine: dict[str, Any]) -> None:
    _, answer = await call("POST", path(machine, "/lease?ttl=60"))
    assert answer["data"]["expires_at"] == 1767225661
    assert (await call("POST", path(machine, "/lease"), {"ttl": -1}))[0] == 400


async def test_a_create_can_take_the_lease_along(call: FlyCaller) -> None:
    made = await call.machine(state=None, lease_ttl=30)
    assert (await call("POST", path(made, "/stop")))[0] == 409
    assert (await call("POST", path(made, "/stop"), headers={NONCE: made["nonce"]}))[0] == 200
    _, shown = await call("GET", path(made), query={"include_leases": "true"})
    assert shown["lease"]["owner"].endswith("@tokens.fly.io")
    assert "nonce" not in shown


async def test_metadata_by_key(call: FlyCaller, machine: dict[str, Any]) -> None:
    one = path(machine, "/metadata/plan")
    assert (await call("GET", one))[0] == 404
    assert (await call("POST", one, {"value": "free"}))[0] == 204
    assert await call("GET", one) == (200, {"value": "free"})
    assert await call("GET", path(machine, "/metadata")) == (200, {"owner": "ada", "plan": "free"})
    assert (await call("DELETE", one))[0] == 204
    assert (await call("GET", one))[0] == 404
    assert (await call("POST", one, {}))[0] == 400


async def test_put_replaces_and_patch_adds(call: FlyCaller, machine: dict[str, Any]) -> None:
    await call("PATCH", path(machine, "/metadata"), {"metadata": {"plan": "free", "old": "x"}})
    await call("PATCH", path(machine, "/metadata"), {"metadata": {"old": None, "owner": ""}})
    assert (await call("GET", path(machine, "/metadata")))[1] == {"plan": "free"}
    await call("PUT", path(machine, "/metadata"), {"metadata": {"owner": "bob"}})
    assert (await call("GET", path(machine, "/metadata")))[1] == {"owner": "bob"}


async def test_metadata_is_written_only_to_the_version_one_knows(call: FlyCaller, machine: dict[str, Any]) -> None:
    """Two gateways that race: the one with the stale version loses. Writing makes no new version."""
    change = {"metadata": {"owner": "bob"}, "machine_version": "01JSTALE"}
    assert (await call("PATCH", path(machine, "/metadata"), change))[0] == 412
    change["machine_version"] = machine["instance_id"]
    assert (await call("PATCH", path(machine, "/metadata"), change))[0] == 204
    _, seen = await call("GET", path(machine))
    assert (seen["instance_id"], seen["config"]["metadata"]) == (machine["instance_id"], {"owner": "bob"})
