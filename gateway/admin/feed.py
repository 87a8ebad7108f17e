"""News of the audit log for whoever follows it: one listener a replica, any number of followers."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from provisioner.audit import Entry
from provisioner.clock import Clock

AT_ONCE: Final = 200
QUIET_S: Final = 15.0
"""After so long without a row a follower hears that there is none."""


class Log(Protocol):
    """The audit log, read forwards."""

    async def following_audit(self, after: int, *, limit: int) -> Sequence[Entry]:
        """Rows behind number `after`, in order: without gaps, and none ever comes before one that was seen."""

    async def last_audit(self) -> int:
        """The number of the last row, 0 if there is none."""


class Feed:
    """Wakes followers as soon as the log has grown, on whatever replica."""

    def __init__(self, log: Log, news: Callable[[], AsyncGenerator[str | None, None]], clock: Clock) -> None:
        """`news` gives an item for each row, and None whenever some may have been missed."""
        self._log, self._news, self._clock = log, news, clock
        self._grown = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        async with aclosing(self._news()) as news:
            async for _ in news:
                grown, self._grown = self._grown, asyncio.Event()
                grown.set()

    async def follow(self, after: int | None) -> AsyncGenerator[Sequence[Entry], None]:
        """All rows behind `after` (None: from now on), a few at a time, for ever; nothing, after a quiet while.

        Two replicas, or one that starts again, give the same rows under the same numbers.
        """
        seen = await self._log.last_audit() if after is None else after
        while True:
            grown = self._grown  # taken before we look: a row written meanwhile has set it
            entries = await self._log.following_audit(seen, limit=AT_ONCE)
            if entries:
                seen = entries[-1].id
                yield entries
            elif not await self.wait(grown, within_s=QUIET_S):
                yield ()

    def grown(self) -> asyncio.Event:
        """Is set when the log grows next. Take it before you look, and you miss nothing."""
        return self._grown

    async def wait(self, grown: asyncio.Event, *, within_s: float) -> bool:
        """True when the log has grown, False if it has not for so long."""
        told = asyncio.ensure_future(grown.wait())
        alarm = asyncio.ensure_future(self._clock.sleep(within_s))
        try:
            await asyncio.wait({told, alarm}, return_when=asyncio.FIRST_COMPLETED)
            return told.done()
        finally:
            told.cancel()
            alarm.cancel()
