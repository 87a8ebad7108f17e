"""A Flycast address leads to the app's Machine."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from localcloud.fly import local_fly
from localcloud.fly.limits import UNLIMITED
from tests.parts.local_fly import PROGRAM, TOKEN, FlyCaller

pytest_plugins = ("tests.parts.fly_fixtures",)

PORTS = {"protocol": "tcp", "internal_port": 8080, "ports": [{"port": 8080, "handlers": []}], "autostop": "off"}


async def address(call: FlyCaller, app: str = "ada") -> str:
    _, assigned = await call("POST", f"/apps/{app}/ip_assignments", {"type": "private_v6"})
    ip = str(assigned["ip"])
    return ip if ":" in ip else f"{ip}:8080"


async def told(where: str) -> dict[str, Any] | None:
    """What the counting program behind the address says, None if nobody answers."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{where}/") as answer:
            body: dict[str, Any] = await answer.json(content_type=None)
            return body
    except aiohttp.ClientError:
        return None


async def until_told(where: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (said := await told(where)) is None:  # noqa: ASYNC110  nothing tells when a program listens
            await asyncio.sleep(0)
    return said


async def test_connections_are_carried_to_the_machine_of_the_app(call: FlyCaller) -> None:
    await call.app()
    where = await address(call)
    assert await told(where) is None  # an address, and nobody behind it
    made = await call.machine(config={"services": [{**PORTS, "autostart": False}]})
    assert (await until_told(where))["env"]["FLY_MACHINE_ID"] == made["id"]


async def test_without_a_service_or_autostart_nobody_is_there(call: FlyCaller) -> None:
    await call.app()
    where = await address(call)
    await call.machine()
    assert await told(where) is None
    quiet = await call.machine(config={"services": [{**PORTS, "autostart": False}]})
    await until_told(where)
    await call.act(quiet, "suspend", until="suspended")
    assert await told(where) is None
    assert await call.state(quiet) == "suspended"


async def test_autostart_wakes(call: FlyCaller) -> None:
    await call.app()
    where = await address(call)
    made = await call.machine(config={"services": [{**PORTS, "autostart": True}]})
    await until_told(where)
    await call.act(made, "suspend", until="suspended")
    await until_told(where)
    assert await call.state(made) == "started"


async def test_the_address_stays_over_a_restart_and_goes_with_the_app(tmp_path: Path) -> None:
    async with local_fly(tmp_path, token=TOKEN, command=PROGRAM, limits=UNLIMITED) as fly, FlyCaller(fly.url) as call:
        await call.app()
        where = await address(call)
        made = await call.machine(config={"services": [PORTS]})
        await until_told(where)
    async with local_fly(tmp_path, token=TOKEN, command=PROGRAM, limits=UNLIMITED) as fly, FlyCaller(fly.url) as call:
        await call("POST", f"/apps/ada/machines/{made['id']}/start")
        await until_told(where)
        assert (await call("DELETE", "/apps/ada", query={"force": "true"}))[0] == 202
        async with asyncio.timeout(10):
            while (await call("GET", "/apps/ada"))[0] != 404:
                pass
        assert await told(where) is None
