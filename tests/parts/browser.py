"""A real Chromium for tests, and a record of what it complained about.

The process lives as long as the test session. A connection to it belongs to one event loop and costs a start of
Playwright's driver, nearly a second of a core: a file of many tests takes one for all of them (`one_connection`, with
`one_browser` as its `browser`), whoever runs on a loop of their own takes `browser`. Either way each test has its own
contexts, so that no cookie survives into the next test.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright, expect

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--remote-debugging-port=0",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
MISSING = """No Chromium found for the browser tests. One of these gives you one:
  Debian, Ubuntu   sudo apt-get install chromium
  macOS            brew install --cask google-chrome
  anywhere         .venv/bin/playwright install chromium, then CHROMIUM=<the path it printed>
or set CHROMIUM to the executable you have."""
STARTS_WITHIN_S = 30.0

expect.set_options(timeout=30_000)  # milliseconds; Playwright's own five seconds are few on a busy machine


def find_chromium() -> str:
    """The executable: $CHROMIUM, or a known name in the PATH. Fails the test run with advice if there is none."""
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and not named and MAC.exists():
        found = str(MAC)
    if found is None:
        pytest.fail((f"CHROMIUM={named} is no executable.\n" if named else "") + MISSING, pytrace=False)
    return found


@pytest.fixture(scope="session")
def chromium() -> Iterator[str]:
    """The DevTools address of one headless Chromium for the whole session."""
    executable = find_chromium()
    with tempfile.TemporaryDirectory(prefix="jarvis-chromium-", ignore_cleanup_errors=True) as profile:
        root = ["--no-sandbox"] if sys.platform == "linux" and os.geteuid() == 0 else []
        with (Path(profile) / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [executable, *FLAGS, *root, f"--user-data-dir={profile}", "about:blank"],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # its own group: it has a dozen children, and all must go at the end
            )
        try:
            yield f"http://127.0.0.1:{_debugging_port(process, Path(profile))}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _debugging_port(process: subprocess.Popen[bytes], profile: Path) -> int:
    deadline = time.monotonic() + STARTS_WITHIN_S
    announced = profile / "DevToolsActivePort"
    while time.monotonic() < deadline and process.poll() is None:
        if announced.exists() and (lines := announced.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.02)
    said = (profile / "stderr").read_text(errors="replace")[-2000:]
    pytest.fail(f"Chromium did not start (exit code {process.poll()}):\n{said}", pytrace=False)


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A connection to the session's Chromium: `await browser.new_context()` for a person with fresh cookies."""
    async with connection(chromium) as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_connection(chromium: str) -> AsyncIterator[Browser]:
    """What `one_browser` stands on: the connection of a whole file."""
    async with connection(chromium) as browser:
        yield browser


@pytest_asyncio.fixture(name="browser", loop_scope="module")
async def one_browser(one_connection: Browser) -> AsyncIterator[Browser]:
    """As `browser`, for tests that share one event loop within their file."""
    yield one_connection
    await _close_contexts(one_connection)


@asynccontextmanager
async def connection(chromium: str) -> AsyncIterator[Browser]:
    """A connection for the event loop that this is entered in. Its contexts end with it."""
    async with async_playwright() as playwright:
        connected = await playwright.chromium.connect_over_cdp(chromium)
        try:
            yield connected
        finally:
            await _close_contexts(connected)
            await connected.close()


async def _close_contexts(browser: Browser) -> None:
    for context in browser.contexts[1:]:  # the first is the browser's own and cannot be closed
        await context.close()


@dataclass
class PageLog:
    """What went wrong in a page: errors it logged or threw, requests that left its host, answers of 400 and above."""

    own: str
    """`host:port` of the server under test."""
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, page: Page, url: str) -> "PageLog":
        """A log of `page` from now on; `url` is any URL of the server under test."""
        log = cls(urlsplit(url).netloc)
        page.on("console", log._on_console)
        page.on("pageerror", lambda error: log.errors.append(str(error)))
        page.on("request", log._on_request)
        page.on("response", log._on_response)
        return log

    @property
    def clean(self) -> bool:
        """Whether nothing was logged as an error and nothing asked of another host. Refusals may be meant."""
        return not self.errors and not self.foreign

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium logs each answer of 400 and above, and each cut stream, in these words; `refused` has the answers.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self.own:
            self.foreign.append(request.url)

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append((response.status, urlsplit(response.url).path))
