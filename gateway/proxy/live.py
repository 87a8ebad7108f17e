"""Who is being served right now."""

import asyncio
from collections.abc import Hashable, Iterable
from typing import Protocol

from provisioner.clock import Clock


class Served(Protocol):
    """One exchange in progress, as the registry sees it."""

    streaming: bool
    moved_at: float

    @property
    def key(self) -> Hashable: ...
    @property
    def session(self) -> Hashable | None: ...
    @property
    def upgraded(self) -> bool: ...

    def stop(self, code: int) -> None:
        """End it: a WebSocket with a close frame, a stream where it stands."""

    def cut(self) -> None:
        """End it at once, answered or not."""

    def check(self, now: float) -> None:
        """Look at its deadlines; `now` is a `clock.monotonic()`."""

    async def ended(self) -> None:
        """Return when nothing of it is left."""


class Live:
    """Exchanges in progress, by key. Keys are looked up for every request: something with a fast hash."""

    def __init__(self, clock: Clock, *, grace: float = 2.0) -> None:
        """`grace`: seconds that a WebSocket client has to answer our close frame."""
        self._clock, self._grace = clock, grace
        self._by_key: dict[Hashable, set[Served]] = {}

    def add(self, exchange: Served) -> None:
        group = self._by_key.get(exchange.key)
        if group is None:
            self._by_key[exchange.key] = {exchange}
        else:
            group.add(exchange)

    def remove(self, exchange: Served) -> None:
        self._by_key[exchange.key].discard(exchange)

    def forget(self) -> bool:
        """Let go of keys without exchanges, here and not at their end: the next comes soon. Whether none is left."""
        for key in [key for key, group in self._by_key.items() if not group]:
            del self._by_key[key]
        return not self._by_key

    def all(self) -> list[Served]:
        return [exchange for group in self._by_key.values() for exchange in group]

    def in_progress(self, key: Hashable) -> int:
        """Exchanges of any sort, those that still wait for an answer included."""
        return len(self._by_key.get(key, ()))

    def open_streams(self, key: Hashable) -> int:
        """Exchanges in progress that are WebSockets or whose answer is still streaming."""
        return sum(exchange.streaming for exchange in self._by_key.get(key, ()))

    def moved_at(self, key: Hashable) -> float | None:
        """`clock.monotonic()` of the last data byte or frame on an open stream; None without one."""
        return max((e.moved_at for e in self._by_key.get(key, ()) if e.streaming), default=None)

    async def drain(self, key: Hashable, code: int = 1001) -> None:
        """End all streams of `key`: WebSockets with close frames both ways. Plain requests go on to their end.

        Returns when they are gone, at the latest after the grace.
        """
        await self._stop([e for e in self._by_key.get(key, ()) if e.streaming], code)

    async def drain_all(self, code: int = 1012, spread: float = 2.0) -> None:
        """End all streams, each at a random moment within `spread` seconds, so that they do not return as one."""

        async def soon(exchange: Served) -> None:
            await self._clock.sleep(self._clock.jitter() * spread)
            await self._stop([exchange], code)

        async with asyncio.TaskGroup() as drains:
            for exchange in self.all():
                if exchange.streaming:
                    drains.create_task(soon(exchange))

    async def hang_up(self, code: int = 1001) -> None:
        """End all WebSockets, and nothing else: every answer, event streams among them, may go on to its end."""
        await self._stop([exchange for exchange in self.all() if exchange.upgraded], code)

    async def cut(self, session: Hashable, code: int = 1008) -> None:
        """End everything of one session: streams as in `drain`, requests still unanswered at once."""
        mine = [exchange for exchange in self.all() if exchange.session == session]
        for exchange in mine:
            if not exchange.streaming:
                exchange.cut()
        await self._stop([exchange for exchange in mine if exchange.streaming], code)

    async def _stop(self, exchanges: Iterable[Served], code: int) -> None:
        exchanges = list(exchanges)
        for exchange in exchanges:
            exchange.stop(code)
        try:
            async with asyncio.timeout(self._grace), asyncio.TaskGroup() as ends:
                for exchange in exchanges:
                    ends.create_task(exchange.ended())
        except TimeoutError:
            for exchange in exchanges:
                exchange.cut()
