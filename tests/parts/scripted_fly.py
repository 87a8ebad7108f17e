"""A server that says exactly what a test tells it to, in Fly's words, and remembers what it was asked.

For answers that even a faithful imitation of Fly cannot be made to give at will: lost ones, half-true ones, races.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from provisioner.fly.client import FlyClient
from provisioner.fly.settings import FlySettings
from provisioner.instance import MachineId
from provisioner.ports import Guest, MachineSpec
from tests.parts.fly_openapi import DOCUMENT, request_problems

TOKEN = "fm2_lJPECAAAAAAAAAAAtesttesttest"
ID = MachineId("148e272f0d3389")
MANY = "/jarvis/machines"
ONE = f"{MANY}/{ID}"
METADATA = {"instance": "i-1", "gateway_env": "test", "deployment": "d1"}
SPEC = MachineSpec(
    name="jarvis-test-0123456789ab",
    region="ams",
    image="registry.fly.io/jarvis@sha256:abc",
    guest=Guest(),
    volume_id="vol_1",
    env={"USER_ID": "ada", "JARVIS_GUARD_KEYS": "k1:c2VjcmV0c2VjcmV0"},
    metadata=METADATA,
)


@dataclass(frozen=True, slots=True)
class Says:
    """One answer. `body` is sent as JSON unless it is text."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Hangs:
    """Takes the request and never answers."""


class Drops:
    """Takes the request and closes the connection."""


Answer = Says | Hangs | Drops


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    params: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any


def refusal(status: int, text: str, code: str | None = None) -> Says:
    """A refusal in the usual shape."""
    return Says(status, {"error": text} | ({"status": code} if code else {}), {"fly-request-id": "01REQUEST-ams"})


def not_startable(state: str) -> Says:
    return refusal(412, f"failed_precondition: unable to start machine from current state: '{state}'")


def machine(**fields: Any) -> dict[str, Any]:
    """A Machine as Fly describes it."""
    config = {
        "image": SPEC.image,
        "metadata": METADATA,
        "mounts": [{"volume": SPEC.volume_id, "path": "/data"}],
    }
    return {
        "id": ID,
        "name": SPEC.name,
        "state": "created",
        "region": "ams",
        "instance_id": "01J0000000000000000000000A",
        "private_ip": "fdaa:0:1::2",
        "host_status": "ok",
        "config": config,
    } | fields


class ScriptedFly:
    """Answers in the order given for a call; the last answer is given for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.arrived = asyncio.Event()
        """Set once anything was asked."""
        self._script: list[tuple[str, re.Pattern[str], deque[Answer]]] = []
        self._released = asyncio.Event()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """`path` is a regular expression for the whole of what follows /v1/apps."""
        self._script.insert(0, (method, re.compile("/v1/apps" + path), deque(answers)))

    def requests(self, method: str, path: str = ".*") -> list[Asked]:
        return [a for a in self.asked if a.method == method and re.fullmatch("/v1/apps" + path, a.path)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        asked = Asked(
            request.method,
            request.path,
            list(request.query.items()),
            {name.lower(): value for name, value in request.headers.items()},
            json.loads(raw) if raw else None,
        )
        self.asked.append(asked)
        self.arrived.set()
        for method, path, answers in self._script:
            if method == request.method and path.fullmatch(request.path):
                says = answers.popleft() if len(answers) > 1 else answers[0]
                return await self._give(request, says)
        return web.json_response({"error": f"not in the script: {asked.method} {asked.path}"}, status=418)

    async def _give(self, request: web.Request, says: Answer) -> web.StreamResponse:
        match says:
            case Hangs():
                await self._released.wait()
            case Drops():
                assert request.transport is not None
                request.transport.abort()
            case Says(body=None):
                return web.Response(status=says.status, headers=says.headers)
            case Says(body=str() as text):
                return web.Response(status=says.status, text=text, headers=says.headers)
            case Says():
                return web.json_response(says.body, status=says.status, headers=says.headers)
        return web.Response()

    def release(self) -> None:
        self._released.set()


@asynccontextmanager
async def scripted_fly() -> AsyncIterator[ScriptedFly]:
    """A running one. At the end every request is held against Fly's OpenAPI document, where that is present."""
    fly = ScriptedFly()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fly.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fly.url = f"http://{host}:{port}"
    try:
        yield fly
    finally:
        fly.release()
        await runner.cleanup()
    if DOCUMENT.exists():
        for asked in fly.asked:
            assert request_problems(asked.method, asked.path, asked.params, asked.body) == []


class LeapingClock:
    """Sleeping takes no time and moves the clock by as much. `slept` tells how long, in order."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._elapsed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def jitter(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._elapsed += seconds
        await asyncio.sleep(0)


@pytest.fixture(name="fly")
async def fly_script() -> AsyncIterator[ScriptedFly]:
    async with scripted_fly() as server:
        yield server


@pytest.fixture(name="clock")
def fly_clock() -> LeapingClock:
    return LeapingClock()


@pytest.fixture(name="client")
async def fly_client(fly: ScriptedFly, clock: LeapingClock) -> AsyncIterator[FlyClient]:
    """Short of patience with silence, as nobody should wait for that in a test."""
    quick = timedelta(seconds=0.2)
    settings = FlySettings(token=TOKEN, api_url=fly.url, ask_timeout=quick, act_timeout=quick)
    async with FlyClient.open(settings, clock) as client:
        yield client
