"""One night for all that is looked at in a browser: two Machines, a database and a Chromium are dear to set up."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.gateway.dashboard.stage import Stage, staged
from tests.parts.browser import PageLog, chromium, one_browser, one_connection
from tests.parts.postgres import Server

__all__ = ["chromium", "one_browser", "one_connection"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with postgres.fresh() as database, staged(database, tmp_path_factory.mktemp("night")) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(night: Stage) -> Stage:
    """The night as it began, whatever the test before did."""
    await night.rewind()
    return night


@pytest_asyncio.fixture(loop_scope="module")
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
