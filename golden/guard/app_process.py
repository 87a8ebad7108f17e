"""Starts the App, keeps it running, and knows whether it answers."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import Final

from golden.guard.log import log

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
STOP_S: Final = 5.0
"""How long the App may take to end after SIGTERM."""
_PROBE_FIRST_S: Final = 0.01
_PROBE_LONGEST_S: Final = 0.1
# Told the App's process group, it waits until the Guard is gone, however it went (its end of the pipe
# closes then), and kills the group: nothing may go on writing to the volume after its Guard.
_WATCHDOG: Final = 'while read -r group; do last=$group; done; [ -z "$last" ] || kill -s KILL -- "-$last"'

PORTS: Final = range(20_000, 32_768)
"""Where the App is told to listen: below what systems give out by themselves, so that nobody else is given the port
before the App has taken it, or while it cannot start."""


class AppState(StrEnum):
    """What the App is doing, as far as can be seen from outside."""

    STARTING = "starting"
    READY = "ready"
    EXITED = "exited"


class AppProcess:
    """The App as a child process in a group of its own, restarted with backoff when it ends."""

    def __init__(self, command: str, environment: Mapping[str, str], *, port: int = 0, stop_s: float = STOP_S) -> None:
        self._command, self._environment, self._fixed_port, self._stop_s = command, environment, port, stop_s
        self.state = AppState.STARTING
        self.port = port or _free_port()
        self.exit_code: int | None = None
        self.pause_s = 0.0
        """Seconds between the last end and the next start."""
        self._false_starts = 0

    @property
    def failed(self) -> bool:
        """It has ended twice in a row without ever accepting a connection: waiting is no use."""
        return self.state is AppState.EXITED and self._false_starts > 1

    def answered(self) -> None:
        """Somebody has seen it accept a connection."""
        if self.state is AppState.STARTING:
            self.state = AppState.READY
            log("app_ready", port=self.port)

    def personalise(self, environment: Mapping[str, str]) -> None:
        """What the App gets beside the rest, from its next start on."""
        self._environment = {**self._environment, **environment}

    async def run(self) -> None:
        """Keep the App running until cancelled; then stop it and everything it started."""
        async with _watchdog() as watchdog:
            while True:
                ready = await self._run_once(watchdog)
                self._false_starts = 0 if ready else self._false_starts + 1
                self.pause_s = min(FIRST_PAUSE_S * 2 ** max(0, self._false_starts - 1), LONGEST_PAUSE_S)
                log("app_exited", exit_code=self.exit_code, restart_in_s=self.pause_s)
                await asyncio.sleep(self.pause_s)

    async def _run_once(self, watchdog: asyncio.StreamWriter) -> bool:
        """Start it and return when it has ended: whether it ever accepted a connection."""
        self.port = self._fixed_port or _free_port()
        self.state = AppState.STARTING
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            self._command,
            stdin=asyncio.subprocess.DEVNULL,
            env={**self._environment, "PORT": str(self.port)},
            start_new_session=True,
        )
        watchdog.write(b"%d\n" % process.pid)
        log("app_started", pid=process.pid, port=self.port)
        try:
            async with asyncio.TaskGroup() as tasks:
                probe = tasks.create_task(self._probe())
                self.exit_code = await process.wait()
                probe.cancel()
        finally:
            ready = self.state is AppState.READY
            self.state = AppState.EXITED
            await _end_group(process, self._stop_s)
            watchdog.write(b"\n")
        return ready

    async def _probe(self) -> None:
        """Until it accepts a connection. Not kept: a server that takes one at a time would be blocked by it."""
        pause = _PROBE_FIRST_S
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _PROBE_LONGEST_S)
            else:
                writer.close()
                self.answered()
                return


@contextlib.asynccontextmanager
async def _watchdog() -> AsyncIterator[asyncio.StreamWriter]:
    """Takes the App's process group a line, and an empty line when it has ended."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", _WATCHDOG, stdin=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None  # noqa: S101
    try:
        yield process.stdin
    finally:
        process.stdin.close()
        await process.wait()


async def _end_group(process: asyncio.subprocess.Process, stop_s: float) -> None:
    """End every process of the group, by SIGKILL what does not heed SIGTERM in time.

    Not only the first process: a shell may be gone long before the server it started.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + stop_s
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when only zombies are left
        os.killpg(process.pid, signal.SIGTERM)
        while loop.time() < deadline:
            await asyncio.sleep(0.02)
            os.killpg(process.pid, 0)
        log("app_killed", after_s=stop_s)
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _free_port() -> int:
    for wish in (*random.sample(PORTS, 20), 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wish))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise OSError("there is no free port for the App")
