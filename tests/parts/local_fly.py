"""A client that speaks plain HTTP to a local Fly, and a small program to run in its Machines."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from localcloud.fly import LocalFly

TOKEN: Final = "fly-test-token"
PROGRAM: Final = (sys.executable, "-c", (Path(__file__).parent / "counting_program.py").read_text())
"""Counts from its start on, tells over HTTP where it is; see counting_program.py."""


class FlyCaller:
    """Calls as a stranger would make them: nothing of the stand-in's code, only HTTP."""

    def __init__(self, url: str, token: str = TOKEN) -> None:
        self.url, self._token = url, token
        self.last_headers: Mapping[str, str] = {}

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._token}"}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=70))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and decoded JSON (None if there is none) of `path`, which is under /v1 unless it is /_local."""
        where = self.url + path if path.startswith("/_local") else f"{self.url}/v1{path}"
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, where, data=data, params=query, headers=headers) as answer:
            text = await answer.text()
            self.last_headers = answer.headers
            return answer.status, json.loads(text) if text else None

    async def app(self, name: str = "ada") -> str:
        """A new app."""
        status, _ = await self("POST", "/apps", {"name": name, "org_slug": "personal"})
        assert status == 201
        return name

    async def machine(self, app: str = "ada", *, state: str | None = "started", **wishes: Any) -> dict[str, Any]:
        """A new Machine, when it has reached `state`. `wishes` are laid over a body that is small and valid."""
        config = {"image": "registry.example/jarvis:1"} | wishes.pop("config", {})
        status, machine = await self("POST", f"/apps/{app}/machines", {"config": config} | wishes)
        assert status == 200, machine
        if state is not None:
            await self.wait(machine, state, app=app)
        return dict(machine)

    async def wait(self, machine: Mapping[str, Any], state: str, *, app: str = "ada") -> None:
        """Until the Machine is there."""
        query = {"state": state, "instance_id": machine["instance_id"], "timeout": "20"}
        status, answer = await self("GET", f"/apps/{app}/machines/{machine['id']}/wait", query=query)
        assert status == 200, answer

    async def act(self, machine: Mapping[str, Any], verb: str, *, until: str, app: str = "ada") -> None:
        """Ask for `verb` and wait for its state."""
        status, answer = await self("POST", f"/apps/{app}/machines/{machine['id']}/{verb}")
        assert status == 200, answer
        await self.wait(machine, until, app=app)

    async def state(self, machine: Mapping[str, Any], *, app: str = "ada") -> str:
        status, answer = await self("GET", f"/apps/{app}/machines/{machine['id']}")
        assert status == 200, answer
        return str(answer["state"])


async def arrived(fly: LocalFly, action: str, number: int) -> None:
    """Until so many calls of `action` have come in and their handlers wait for something."""
    async with asyncio.timeout(10):
        while fly.calls.counts[action] < number:  # noqa: ASYNC110  nothing tells when a stranger has called
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
