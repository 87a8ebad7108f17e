"""The Guard as the process that it is in a Machine, with the echo App behind it."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.golden.stage import Wire, eventually
from tests.parts.assertion import EMAIL, KEY, MACHINE, USER, assertion
from tests.parts.system import ECHO_APP

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "FLY_MACHINE_ID": MACHINE,
    "JARVIS_GUARD_KEYS": f"k1:{base64.urlsafe_b64encode(KEY).decode()}",
    "JARVIS_LISTEN": "127.0.0.1:0",
    "USER_ID": USER,
    "USER_EMAIL": EMAIL,
    "INSTANCE_TYPE": "user",
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "error",
}


class RunningGuard:
    """A Guard process, what it has said so far, and how to speak with it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.port = 0
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What the gateway adds to a request."""
        return {"X-Jarvis-Assertion": assertion()}

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the Guard has logged under `name`."""
        facts = [json.loads(line) for line in self.lines if line.startswith('{"at"')]
        return [fact for fact in facts if fact["event"] == name]

    async def said(self, name: str, times: int = 1) -> dict[str, Any]:
        """The `times`-th event of that name, when it has come."""
        await eventually(lambda: len(self.events(name)) >= times or self._reading.done(), within_s=20)
        assert len(self.events(name)) >= times, self.lines
        return self.events(name)[times - 1]

    async def heard(self, line: str) -> None:
        """Return when the App has printed `line`."""
        await eventually(lambda: line in self.lines)

    async def wire(self) -> Wire:
        return Wire(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**22))

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after `how`, and every line read."""
        if self.process.returncode is None:
            self.process.send_signal(how)
        try:
            await asyncio.wait_for(self.process.wait(), 15)
        except TimeoutError:
            self.process.kill()  # so that a failed test leaves nothing behind
            raise
        with contextlib.suppress(TimeoutError):  # somebody it started may hold the pipe
            await asyncio.wait_for(self._reading, 5)
        assert self.process.returncode is not None
        return self.process.returncode


StartGuard = Callable[..., Awaitable[RunningGuard]]


@pytest.fixture
async def start_guard(tmp_path: Path) -> AsyncIterator[StartGuard]:
    """Starts Guards with changes to their environment and waits until they listen; stops them in the end."""
    guards: list[RunningGuard] = []

    async def start(command: str = ECHO_APP, **changes: str) -> RunningGuard:
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment = keep | ENVIRONMENT | {"JARVIS_COMMAND": command, "DATA_DIR": str(tmp_path)} | changes
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "golden.guard"),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        guard = RunningGuard(process)
        guards.append(guard)
        guard.port = (await guard.said("listening"))["port"]
        return guard

    yield start
    for guard in guards:
        await guard.stop()
        # Tracebacks of the App are its own affair: it may well be angry at clients that left.
        ours = ("golden/guard", "asyncio", "uvloop", "never retrieved", "ResourceWarning")
        assert not [line for line in guard.lines if any(word in line for word in ours)], guard.lines


@pytest.fixture
async def guard(start_guard: StartGuard) -> RunningGuard:
    """A Guard whose echo App answers."""
    running = await start_guard()
    await running.said("app_ready")
    return running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that adds nothing."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session
