"""A Chromium, and a server of each test's own that shows it the pages."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.gateway.pages.stage import Stage, staged
from tests.parts.browser import PageLog, chromium, one_browser, one_connection

__all__ = ["chromium", "one_browser", "one_connection"]


@pytest_asyncio.fixture(loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def tab(stage: Stage, browser: Browser) -> AsyncIterator[Page]:
    """A fresh tab that may write to the clipboard, and that must not complain nor ask anybody else for anything."""
    context = await browser.new_context(base_url=stage.url, permissions=["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    page.set_default_timeout(30_000)
    log = PageLog.of(page, stage.url)
    yield page
    assert log.clean, log
