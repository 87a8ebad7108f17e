"""An operator at the admin listener, for every room that shows them something."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient

from localcloud.database import Database
from tests.parts.admin import TOKEN, listener
from tests.parts.back import Back, back_of_house


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


@pytest.fixture
async def admin(back: Back) -> AsyncIterator[TestClient]:
    """Whoever sends no AUTH is a stranger."""
    async with TestClient(listener(back)) as client:
        yield client


@pytest.fixture
def where(admin: TestClient) -> dict[str, str]:
    """The environment of somebody who operates this gateway."""
    return {"ADMIN_URL": str(admin.make_url("/")), "ADMIN_TOKEN": TOKEN}
