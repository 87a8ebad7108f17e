"""This replica says that it lives, which of its background work does, and how its calls to Fly went."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import structlog

from gateway.overview.book import OverviewBook
from provisioner.clock import Clock

log = structlog.get_logger(__name__)

EVERY_S: Final = 10.0


class Heart:
    """Beats every EVERY_S seconds until cancelled, and signs off."""

    def __init__(
        self,
        book: OverviewBook,
        clock: Clock,
        *,
        name: str,
        version: str,
        loops: Callable[[], Mapping[str, str]],
        ended: Callable[[], Mapping[str, int]],
    ) -> None:
        """`loops`: background work by name, "runs" or "ended". `ended`: calls to Fly by how they ended, told once."""
        self._book, self._clock, self._loops, self._ended = book, clock, loops, ended
        self._name, self._version, self._started = name, version, clock.now()
        self._counts: Counter[tuple[datetime, str]] = Counter()
        """By hour and how they ended; what is not written down yet."""

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._beat()
                except Exception as fault:
                    log.warning("heartbeat_not_written", error=repr(fault))
                await self._clock.sleep(EVERY_S)
        finally:
            try:
                await self._beat()
                await self._book.sign_off(self._name)
            except Exception as fault:
                log.info("sign_off_not_written", error=repr(fault))  # others will call us silent

    async def _beat(self) -> None:
        now = self._clock.now()
        hour = now.replace(minute=0, second=0, microsecond=0)
        self._counts.update({(hour, how): n for how, n in self._ended().items()})
        await self._book.beat(
            self._name,
            version=self._version,
            started_at=self._started,
            now=now,
            loops=self._loops(),
            counts=self._counts,
        )
        self._counts.clear()
