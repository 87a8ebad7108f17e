"""Writes that come at once, written together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Batch(Generic[T]):
    __slots__ = ("items", "written")

    def __init__(self) -> None:
        self.items: list[T] = []
        self.written = False


class Together(Generic[T]):
    """One write at a time; what comes meanwhile is the next. So a lone one does not wait, and a crowd takes few."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[object]]) -> None:
        """`write` may be asked again for the same items, when whoever asked first has failed or given up."""
        self._write = write
        self._open: _Batch[T] = _Batch()
        self._turn = asyncio.Lock()

    async def add(self, item: T) -> None:
        """Return when `item` is written. Raises what its own attempt to write raises, and may be cancelled; either is
        nothing to those whose items would have been written with it.
        """
        batch = self._open
        batch.items.append(item)
        async with self._turn:
            if batch.written:
                return
            if batch is self._open:
                self._open = _Batch()
            await self._write(batch.items)
            batch.written = True
