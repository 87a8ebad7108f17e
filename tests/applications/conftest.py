"""The programs of .venv-apps as Apps, a browser that takes large files, and people nobody has seen before."""

import hashlib
import shlex
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.applications.patience import PATIENCE_MS
from tests.journeys.visitor import Operator
from tests.parts.browser import chromium
from tests.parts.system import System, dev_system, until

__all__ = ["chromium"]  # fixture

HERE: Final = Path(__file__).parent
PROGRAMS: Final = HERE.parent.parent / ".venv-apps" / "bin"
LARGE_B: Final = 200_000_000


def command(program: str, *arguments: object, **environment: object) -> str:
    """The App's shell command: a program of .venv-apps with settings of its own. Fails if it is not installed."""
    assert (PROGRAMS / program).exists(), "the applications are not installed: make .venv-apps/.ready"
    settings = (f"{name}={value}" for name, value in environment.items())
    return "exec " + shlex.join(["/usr/bin/env", *settings, str(PROGRAMS / program), *map(str, arguments)])


async def put_to_sleep(operator: Operator, email: str) -> None:
    """Have their Machine suspended under their open tab.

    It may be awake again at once: pages like these come back by themselves as soon as they are cut off.
    """

    async def slept() -> bool:
        await operator.http.post(f"/v1/instances/{await operator.user_id(email)}/suspend")
        return bool(await operator.calls("suspend_machine", email))

    await until(slept)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def system_with(app_command: str, folder: Path) -> Iterator[System]:
    """`my-jarvis dev` with that App. The volumes go at the end: pytest keeps folders, and these hold large files."""
    with dev_system(folder / "data", app_command=app_command) as system:
        yield system
    shutil.rmtree(folder / "data" / "fly" / "volumes")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with JupyterLab as the App."""
    app = command("jupyter-lab", JUPYTER_CONFIG_PATH=HERE / "jupyter")
    with system_with(app, tmp_path_factory.mktemp("lab")) as system:
        yield system


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with a page on socket.io as the App."""
    with system_with(command("python", HERE / "socketio_app.py"), tmp_path_factory.mktemp("live")) as system:
        yield system


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """The session's Chromium. It runs on this machine, so large files are handed to it by their path."""
    async with async_playwright() as playwright:
        connected = await playwright.chromium.connect_over_cdp(chromium, is_local=True)
        try:
            yield connected
        finally:
            await connected.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty tab of somebody who has no cookies yet. It waits for a busy machine, and not for ever."""
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield await context.new_page()
    await context.close()


@pytest.fixture
def email() -> str:
    """Somebody nobody has seen before."""
    return f"ada-{uuid4().hex[:8]}@example.com"


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """200 MB that no compression makes smaller."""
    path = tmp_path_factory.mktemp("large") / "measurements.bin"
    with Path("/dev/urandom").open("rb") as chance, path.open("wb") as file:
        for _ in range(LARGE_B // 1_000_000):
            file.write(chance.read(1_000_000))
    yield path
    path.unlink()
