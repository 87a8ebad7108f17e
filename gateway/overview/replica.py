"""This replica says that it lives, and which of its background work does."""

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from gateway.overview.book import OverviewBook
from provisioner.clock import Clock

log = structlog.get_logger(__name__)

EVERY_S: Final = 10.0


class Heart:
    """Beats every EVERY_S seconds until cancelled, and signs off."""

    def __init__(
        self, book: OverviewBook, clock: Clock, *, name: str, version: str, loops: Callable[[], Mapping[str, str]]
    ) -> None:
        """`loops`: background work by name, "runs" or "ended"."""
        self._book, self._clock, self._loops = book, clock, loops
        self._name, self._version, self._started = name, version, clock.now()

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._book.beat(
                        self._name,
                        version=self._version,
                        started_at=self._started,
                        now=self._clock.now(),
                        loops=self._loops(),
                    )
                except Exception as fault:
                    log.warning("heartbeat_not_written", error=repr(fault))
                await self._clock.sleep(EVERY_S)
        finally:
            try:
                await self._book.sign_off(self._name)
            except Exception as fault:
                log.info("sign_off_not_written", error=repr(fault))  # others will call us silent
