"""A running system for journeys that can share one, and people to go on them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from tests.journeys.visitor import Operator, Place, Visitor, operator_of
from tests.parts.system import System, dev_system, python_app

APP = python_app("-m", "tests.journeys.app")

Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One `my-jarvis dev` for every journey that leaves it as it found it. Each brings users of its own."""
    with dev_system(tmp_path_factory.mktemp("dev") / "data", app_command=APP) as system:
        yield system


@pytest.fixture
async def operator(dev: System) -> AsyncIterator[Operator]:
    """Behind the counter of `dev`. Whatever trouble was ordered there is over after the test."""
    async with operator_of(dev) as somebody:
        yield somebody
        await somebody.heal()


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """`await visit("ada", at=system)`: somebody nobody has seen before, signed in and at their App.

    With `next_path` of the gateway's own, such as /_gateway/instance, they are signed in and have no Machine yet.
    """
    async with AsyncExitStack() as stack:

        async def arrive(name: str, *, at: Place, next_path: str = "/env") -> Visitor:
            somebody = await stack.enter_async_context(Visitor(f"{name}-{uuid4().hex[:8]}@example.com", at.public))
            answer = await somebody.sign_in(next_path)
            assert answer.status_code == 200, answer.text
            return somebody

        yield arrive
