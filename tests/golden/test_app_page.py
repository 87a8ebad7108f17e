"""The chat page in a real browser, behind a prefix, with a gateway in front that comes and goes."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.proxy.asked import Asked
from gateway.proxy.engine import Engine
from gateway.proxy.errors import UpstreamError
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.passage import Passage
from gateway.proxy.plain import Plain, WholeLane
from gateway.proxy.upstream import Upstream
from golden.guard.answer import Answer, problem
from provisioner.clock import SystemClock
from provisioner.instance import Endpoint
from tests.golden.conftest import RunningGuard, StartGuard
from tests.golden.test_app import APP
from tests.parts.assertion import assertion
from tests.parts.browser import PageLog, browser, chromium  # noqa: F401  fixtures

PREFIX = b"/somewhere/deep"
LONG = f"Look:\n\n```\nprint('{'x' * 200}')\n```\n\n- one\n- two\n\n{'long' * 60}"
STICKING_OUT = """[...document.querySelectorAll("body *")]
    .filter((node) => !node.closest("pre, svg") && node.getBoundingClientRect().right > innerWidth + 1)
    .map((node) => `${node.tagName}#${node.id}.${node.className}`)"""


class Gateway:
    """Signs and passes on what comes under PREFIX; can be told to refuse everything, as if nobody were awake."""

    def __init__(self, guard: RunningGuard) -> None:
        limits = ProxyLimits()
        self._endpoint = Endpoint("127.0.0.1", guard.port)
        self.engine = Engine(limits, SystemClock())
        self.server = Plain(limits, WholeLane(self.engine, self._judge, self._connect, self._explain))
        self.url = ""
        self.awake = True
        self.targets: list[bytes] = []

    def _judge(self, asked: Asked) -> Answer | Passage:
        self.targets.append(asked.target)
        if not self.awake:
            return problem(503, "asleep", retry_after=1)
        if not asked.target.startswith(PREFIX):
            return problem(404, "elsewhere")
        asked.target = asked.target.removeprefix(PREFIX)
        lines = f"X-Jarvis-Assertion: {assertion()}\r\n".encode()
        return Passage(endpoint=self._endpoint, key="k", lines=lines)

    async def _connect(self, passage: Passage) -> Upstream:
        return await self.engine.pool.connect(passage.endpoint)

    def _explain(self, error: UpstreamError) -> Answer:
        return problem(502, str(error))

    def hang_up(self) -> None:
        """Cut every connection."""
        for connection in tuple(self.server.connections):
            if connection.transport is not None:
                connection.transport.abort()


@pytest.fixture
async def gateway(start_guard: StartGuard) -> AsyncIterator[Gateway]:
    import socket

    made = Gateway(await start_guard(APP))
    listener = socket.create_server(("127.0.0.1", 0))
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}{PREFIX.decode()}/"
    server = await asyncio.get_running_loop().create_server(made.server, sock=listener)
    yield made
    server.close()
    await made.server.shutdown(0)
    await made.engine.close()


@pytest.fixture
async def page(gateway: Gateway, browser: Browser) -> AsyncIterator[Page]:  # noqa: F811
    context = await browser.new_context()
    opened = await context.new_page()
    log = PageLog.of(opened, gateway.url)
    await opened.goto(gateway.url)
    yield opened
    assert not log.foreign
    assert not [error for error in log.errors if "WebSocket" not in error]


async def test_a_person_talks_with_it(page):
    """Type, press Enter, watch the answer grow; and everything is still there after a reload."""
    await expect(page.locator("#status-text")).to_have_text("awake")
    await expect(page.locator("#who")).to_have_text("ada@example.com")
    await expect(page.locator("#greeting")).to_contain_text("Ada")
    await page.keyboard.type("what is **bold** and `code`?")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("<img src=x onerror=alert(1)>")
    await page.keyboard.press("Enter")
    mine, answer = page.locator("#log .user"), page.locator("#log .assistant")
    await expect(mine).to_contain_text("what is bold and code?")
    await expect(answer).to_have_class("assistant streaming")
    await expect(answer).to_have_class("assistant")
    await expect(answer.locator("strong")).to_have_text("bold")
    await expect(answer).to_contain_text("<img src=x onerror=alert(1)>")
    await expect(page.locator("#text")).to_be_focused()
    await page.reload()
    await expect(mine).to_have_count(1)
    await expect(answer.locator("strong")).to_have_text("bold")


async def test_a_lost_line_comes_back_by_itself_and_nothing_is_said_twice(page, gateway):
    """The Machine slept, the gateway was restarted: the page says so, and what was typed meanwhile arrives once."""
    await expect(page.locator("#status-text")).to_have_text("awake")
    gateway.awake = False
    gateway.hang_up()
    await expect(page.locator("#status-text")).to_have_text("waking…")
    await page.locator("#text").fill("typed in the dark")
    await page.keyboard.press("Enter")
    await expect(page.locator("#log .user.pending")).to_have_text("typed in the dark")
    gateway.awake = True
    await expect(page.locator("#status-text")).to_have_text("awake", timeout=20_000)
    await expect(page.locator("#log .user:not(.pending)")).to_have_text("typed in the dark")
    await expect(page.locator("#log .assistant")).to_contain_text("typed in the dark")
    gateway.hang_up()
    await expect(page.locator("#status-text")).to_have_text("waking…")
    await expect(page.locator("#status-text")).to_have_text("awake", timeout=20_000)
    await expect(page.locator("#log .user")).to_have_count(1)
    await expect(page.locator("#log .assistant")).to_have_count(1)


async def test_a_hidden_tab_does_not_wake_the_machine(page, gateway):
    """It waits until somebody looks at it again."""
    await expect(page.locator("#status-text")).to_have_text("awake")
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});" \
           " document.dispatchEvent(new Event('visibilitychange')); }"  # fmt: skip
    await page.evaluate(hide, True)
    gateway.hang_up()
    await expect(page.locator("#status-text")).to_have_text("asleep")
    asked = len(gateway.targets)
    await asyncio.sleep(1.5)
    assert len(gateway.targets) == asked
    await page.evaluate(hide, False)
    await expect(page.locator("#status-text")).to_have_text("awake")


async def test_how_it_looks(gateway, browser, tmp_path):  # noqa: F811
    """Nothing sticks out on a phone, in light and dark; pictures go to SCREENSHOTS if that is set."""
    for scheme in ("light", "dark"):
        for width, height in ((1200, 800), (360, 640)):
            context = await browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
            opened = await context.new_page()
            await opened.goto(gateway.url)
            await expect(opened.locator("#status-text")).to_have_text("awake")
            await _picture(opened, f"{scheme}-{width}-a")
            if scheme == "light" and width == 1200:
                await opened.locator("#text").fill(LONG)
                await opened.keyboard.press("Enter")
                await expect(opened.locator("#log .assistant:not(.streaming) ul")).to_be_visible()
            await _picture(opened, f"{scheme}-{width}-b")
            assert await opened.evaluate(STICKING_OUT) == []
            await context.close()


async def _picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        await page.screenshot(path=f"{folder}/{name}.png")
