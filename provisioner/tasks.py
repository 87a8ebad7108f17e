"""Background work with an owner: what is begun here ends here."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Tasks:
    """Tasks that may fail one by one without ending the others, unlike those of a TaskGroup.

    Leaving the block cancels what still runs and waits for it. Whoever begins a task looks after its outcome.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run `work` until it ends or the block is left."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._running:
            running = set(self._running)
            for task in running:
                task.cancel()
            await asyncio.wait(running)
