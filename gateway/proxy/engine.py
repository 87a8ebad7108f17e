"""What all exchanges of a process share: limits, connections to Machines, the registry, a look at all deadlines."""

import asyncio
from typing import TYPE_CHECKING

from gateway.proxy.limits import ProxyLimits
from gateway.proxy.live import Live
from gateway.proxy.upstream import Pool
from provisioner.clock import Clock
from provisioner.instance import Endpoint
from provisioner.tasks import Tasks

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.passage import Passage


class Engine:
    """One for a process. All methods belong to one event loop."""

    def __init__(self, limits: ProxyLimits, clock: Clock) -> None:
        self.limits, self.clock = limits, clock
        self.pool = Pool(limits, clock)
        self.live = Live(clock, grace=limits.drain_s)
        self.tasks = Tasks()
        """What connects to a Machine and has nobody to wait for it."""
        self._ticker: asyncio.TimerHandle | None = None
        self._closed = False

    def enter(self, exchange: "Exchange", passage: "Passage") -> None:
        """An exchange begins; whoever calls this removes it from `live` at its end."""
        self.live.add(exchange)
        passage.touch()
        if self._ticker is None and not self._closed:
            self._ticker = asyncio.get_running_loop().call_later(self.limits.tick_s, self._tick)

    def drop_pool(self, endpoint: Endpoint) -> None:
        """Reuse no connection to `endpoint`; call it before its Machine is suspended."""
        self.pool.drop(endpoint)

    async def close(self) -> None:
        """End everything in progress and close all connections."""
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        for exchange in self.live.all():
            exchange.cut()
        self.pool.close()
        async with self.tasks:
            pass  # what still connects is cancelled

    def _tick(self) -> None:
        """One look at all deadlines; goes on as long as there are any."""
        self._ticker = None
        now = self.clock.monotonic()
        for exchange in self.live.all():
            exchange.check(now)
        self.pool.expire()
        nobody = self.live.forget()
        if not self._closed and not (nobody and self.pool.empty):
            self._ticker = asyncio.get_running_loop().call_later(self.limits.tick_s, self._tick)
