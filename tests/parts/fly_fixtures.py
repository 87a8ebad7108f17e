"""A running local Fly, as fixtures: `pytest_plugins = ("tests.parts.fly_fixtures",)` in a test module brings them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.fly import LocalFly, local_fly
from localcloud.fly.limits import UNLIMITED
from tests.parts.local_fly import PROGRAM, TOKEN, FlyCaller


@pytest.fixture
async def fly(tmp_path: Path) -> AsyncIterator[LocalFly]:
    """A Fly whose Machines run the counting program, without rate limits."""
    async with local_fly(tmp_path / "fly", token=TOKEN, command=PROGRAM, limits=UNLIMITED) as running:
        yield running


@pytest.fixture
async def bare_fly(tmp_path: Path) -> AsyncIterator[LocalFly]:
    """A Fly whose Machines have no process: for what is about the API alone. No rate limits."""
    async with local_fly(tmp_path / "fly", token=TOKEN, command=None, limits=UNLIMITED) as running:
        yield running


@pytest.fixture
async def call(fly: LocalFly) -> AsyncIterator[FlyCaller]:
    async with FlyCaller(fly.url) as caller:
        yield caller


@pytest.fixture
async def bare_call(bare_fly: LocalFly) -> AsyncIterator[FlyCaller]:
    async with FlyCaller(bare_fly.url) as caller:
        yield caller
