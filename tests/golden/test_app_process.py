"""Starting the App, telling whether it answers, and ending it with everything it started."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from golden.guard.app_process import PORTS, AppProcess, AppState
from tests.golden.stage import eventually


@contextlib.asynccontextmanager
async def running(app: AppProcess) -> AsyncIterator[None]:
    task = asyncio.create_task(app.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_app_that_does_not_heed_sigterm_is_killed(tmp_path):
    file = tmp_path / "pid"
    app = AppProcess(f"trap '' TERM; echo $$ > {file}; while :; do sleep 0.05; done", os.environ, stop_s=0.3)
    async with running(app):
        await eventually(lambda: file.exists() and file.read_text())
    await eventually(lambda: not alive(int(file.read_text())))


async def test_it_waits_for_the_server_and_not_only_for_its_shell(tmp_path):
    """The App may take its time to save, though the shell that started it is gone at once."""
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    server = f"(trap 'sleep 0.3; echo saved > {saved}; exit' TERM; echo > {ready}; while :; do sleep 0.05; done)"
    app = AppProcess(f"{server} & wait", os.environ)
    async with running(app):
        await eventually(ready.exists)
    assert saved.exists()


async def test_what_an_ended_app_left_running_is_ended_too(tmp_path):
    file = tmp_path / "pid"
    app = AppProcess(f"sleep 1000 & echo $! > {file}; exit 1", os.environ)
    async with running(app):
        await eventually(lambda: app.state is AppState.EXITED and app.exit_code == 1)
        await eventually(lambda: not alive(int(file.read_text())))


async def test_one_false_start_is_no_failure_two_are():
    app = AppProcess("exit 9", os.environ)
    async with running(app):
        await eventually(lambda: app.pause_s == 1.0)
        assert not app.failed
        await eventually(lambda: app.failed)
        assert app.exit_code == 9


def test_nobody_else_is_given_the_apps_port():
    """While the App is not up yet, or cannot start, its port must not turn out to be some other program's."""
    assert all(AppProcess("true", {}).port in PORTS for _ in range(20))
