from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from localcloud.database import Database
from tests.gateway.dashboard.stage import Stage, staged
from tests.parts.browser import PageLog, browser, chromium

__all__ = ["browser", "chromium"]


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(database, tmp_path) as stage:
        yield stage


@pytest.fixture
async def tab(stage: Stage, browser: Browser) -> AsyncIterator[Page]:
    """An operator's tab, signed in; it must not complain, nor ask anybody else for anything."""
    context = await browser.new_context(base_url=stage.url, viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(30_000)
    log = PageLog.of(page, stage.url)
    await page.goto("/")
    await page.fill("#token", stage.token)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#live[data-live=on]")
    yield page
    assert log.clean, log
    await context.close()
