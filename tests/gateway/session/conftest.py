"""A local cloud, one replica before it, and a browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.database import Database
from tests.gateway.session.stage import ADA, Browser, Cloud, Replica, cloud_for_test, replica


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud_for_test(tmp_path, database.dsn) as cloud:
        yield cloud


@pytest.fixture
async def gateway(cloud: Cloud) -> AsyncIterator[Replica]:
    async with replica(cloud) as gateway:
        yield gateway


@pytest.fixture
async def browser(gateway: Replica) -> AsyncIterator[Browser]:
    async with Browser(gateway.origin) as browser:
        yield browser


@pytest.fixture
async def session_id(browser: Browser) -> str:
    """Ada is signed in; her cookie's value."""
    await browser.sign_in(ADA)
    return browser.session_id
