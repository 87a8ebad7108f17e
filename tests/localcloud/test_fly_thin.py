"""Machines without a process that answer all the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.fly import local_fly
from localcloud.fly.limits import UNLIMITED
from tests.parts.local_fly import TOKEN, FlyCaller
from tests.parts.plain_http import NO_TLS


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[FlyCaller]:
    async with (
        local_fly(tmp_path, token=TOKEN, command=None, thin=True, limits=UNLIMITED) as fly,
        FlyCaller(fly.url) as caller,
    ):
        await caller.app()
        yield caller


async def ask(machine: dict[str, Any], path: str = "/_guard/health", **given: Any) -> httpx.Response:
    host = machine["private_ip"]
    async with httpx.AsyncClient(
        base_url=f"http://{host if ':' in host else host + ':8080'}", timeout=10, verify=NO_TLS
    ) as http:
        return await http.request(given.pop("method", "GET"), path, **given)


async def test_it_answers_as_a_guard_with_an_app_does(call: FlyCaller) -> None:
    machine = await call.machine(config={"env": {"USER_ID": "1", "USER_EMAIL": "ada@example.com"}})
    health = (await ask(machine)).json()
    assert (health["status"], health["machine_id"]) == ("ready", machine["id"])
    assert (await ask(machine, "/notes", method="POST", content=b"x" * 5000)).json()["email"] == "ada@example.com"


async def test_one_without_a_user_is_a_spare_until_it_is_claimed(call: FlyCaller) -> None:
    machine = await call.machine()
    assert (await ask(machine)).json()["status"] == "unclaimed"
    assert (await ask(machine, "/_guard/claim", method="POST")).status_code == 200
    assert (await ask(machine)).json()["status"] == "ready"


async def test_asleep_it_lets_them_wait_and_awake_it_answers(call: FlyCaller) -> None:
    machine, awake = await call.machine(), await call.machine()
    await call.act(machine, "suspend", until="suspended")
    waiting = asyncio.ensure_future(ask(machine))
    assert (await ask(awake)).status_code == 200
    assert not waiting.done()  # though who was asked after it has answered
    await call.act(machine, "start", until="started")
    assert (await waiting).status_code == 200


async def test_stopped_or_destroyed_nobody_is_there(call: FlyCaller) -> None:
    machine = await call.machine()
    await call.act(machine, "stop", until="stopped")
    with pytest.raises(httpx.ConnectError):
        await ask(machine)
    await call.act(machine, "start", until="started")
    assert (await ask(machine)).status_code == 200
    assert (await call("DELETE", f"/apps/ada/machines/{machine['id']}?force=true"))[0] == 200
    await call.wait(machine, "destroyed")
    with pytest.raises(httpx.ConnectError):
        await ask(machine)
