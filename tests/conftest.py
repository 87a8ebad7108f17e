"""Fixtures for every area."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from hypothesis import settings

from localcloud.database import Database
from tests.parts.postgres import Server, clear_away, postgres_server

# A busy machine is no failure: what takes how long is measured in bench/, not here.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

LONG_FIRST: Final = ("tests/chaos/", "tests/applications/", "tests/journeys/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long begin first, or at the end one worker is still at one while the others have nothing."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FIRST))


def pytest_unconfigure() -> None:
    clear_away()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres() -> AsyncIterator[Server]:
    """A running Postgres for all tests of this process."""
    async with postgres_server() as server:
        yield server


@pytest.fixture
async def database(postgres: Server) -> AsyncIterator[Database]:
    """A clean, migrated database: `.dsn` as the product's plain role, `.admin_dsn` as superuser."""
    async with postgres.clean() as clean:
        yield clean
