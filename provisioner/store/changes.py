"""What Postgres calls out to every replica (LISTEN/NOTIFY), over one connection that mends itself."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import asyncpg
import structlog

from provisioner.clock import Clock

log = structlog.get_logger(__name__)

_RETRY_S: Final = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
_SILENCE_S: Final = 20.0
"""After so long without a word the connection is asked if it still lives: a cut cable makes no noise."""


class _Ear:
    """Whoever hears one channel. What is said before `listens` may be missed, so None comes first."""

    __slots__ = ("channel", "listens", "words")

    def __init__(self, channel: str) -> None:
        self.channel, self.listens = channel, False
        self.words: asyncio.Queue[str | None] = asyncio.Queue()


class Announcements:
    """All channels that anybody here listens to, on one connection: every NOTIFY wakes each connection that LISTENs to
    anything, and Supabase counts them. It is made for the first who listens and closed after the last.
    """

    def __init__(self, dsn: str, clock: Clock) -> None:
        """`dsn` must lead to Postgres itself or to a session pooler: behind a transaction pooler nothing is heard."""
        self._dsn, self._clock = dsn, clock
        self._ears: set[_Ear] = set()
        self._stirred = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._failures = 0

    async def hear(self, channel: str) -> AsyncGenerator[str | None, None]:
        """Each payload sent to `channel` from now on, and None whenever some may have been missed.

        So the first item is None, as soon as we listen, and so is the first after every reconnection. Ends only by
        being closed (`contextlib.aclosing`) or cancelled.
        """
        ear = _Ear(channel)
        self._ears.add(ear)
        self._stirred.set()
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="announcements")
        try:
            while True:
                yield await ear.words.get()
        finally:
            self._ears.discard(ear)
            self._stirred.set()
            if not self._ears and self._keeper is not None:
                keeper, self._keeper = self._keeper, None
                keeper.cancel()
                await asyncio.wait({keeper})

    async def _keep(self) -> None:
        """Listen until cancelled, over as many connections as it takes.

        Whatever goes wrong, it goes on: if it ended, all that anybody here remembers would lie from then on.
        """
        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=10, command_timeout=10)
            except Exception as lost:
                log.warning("listen_failed", error=type(lost).__name__)
            else:
                try:
                    await self._listen(connection)
                except Exception as lost:
                    log.warning("listen_lost", error=type(lost).__name__)
                finally:
                    # Not close(): that would talk once more over a connection that may be dead, and could be cancelled.
                    connection.terminate()
                    for ear in self._ears:
                        ear.listens = False
            pause = _RETRY_S[min(self._failures, len(_RETRY_S) - 1)]
            self._failures += 1
            if pause:
                await self._clock.sleep(pause * (0.5 + self._clock.jitter()))

    async def _listen(self, connection: Any) -> None:
        """Follow who comes and goes, until the connection has ended."""
        connection.add_termination_listener(lambda _: self._stirred.set())
        channels: set[str] = set()
        while not connection.is_closed():
            self._stirred.clear()
            ears = tuple(self._ears)  # more may come while we wait for an answer: the next round is theirs
            wanted = {ear.channel for ear in ears}
            for channel in wanted - channels:
                await connection.add_listener(channel, self._heard)
            for channel in channels - wanted:
                await connection.remove_listener(channel, self._heard)
            channels, self._failures = wanted, 0
            for ear in ears:
                if not ear.listens:
                    ear.listens = True
                    ear.words.put_nowait(None)
            try:
                # A socket's patience, not the domain's: real time, whatever the Clock says.
                async with asyncio.timeout(_SILENCE_S):
                    await self._stirred.wait()
            except TimeoutError:
                await connection.execute("select 1")

    def _heard(self, _: Any, __: int, channel: str, word: str) -> None:
        for ear in self._ears:
            if ear.listens and ear.channel == channel:
                ear.words.put_nowait(word)
