"""One run of a piece of work at a time, however many want it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Owns the tasks of shared work; `aclose` ends them. Used from one event loop."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The outcome of the one run of `work` for `key`, joining it if it is under way.

        Cancelling a caller leaves the run going: others may wait for it, and half a token refresh would be lost.
        Raises what `work` raises, to every caller.
        """
        return await asyncio.shield(self.begin(key, work))

    def begin(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> Awaitable[T]:
        """Start the run for `key` if there is none; nobody needs to wait for it."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(work())
            self._running[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return task

    def _land(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it when nobody waited

    async def settle(self) -> None:
        """Wait for every run that is under way, whatever its outcome."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def aclose(self, *, patience: float = 5) -> None:
        """Give runs `patience` seconds to end by themselves, then cancel the rest."""
        try:
            async with asyncio.timeout(patience):
                await self.settle()
        except TimeoutError:
            for task in self._running.values():
                task.cancel()
            await self.settle()
