"""From a request to its answer through one Endpoint."""

import asyncio
from typing import cast

from aiohttp import web

from gateway.proxy.errors import BodyTooLarge
from gateway.proxy.exchange import Exchange
from gateway.proxy.fields import cookies_of
from gateway.proxy.front import FrontConnection
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.live import Live
from gateway.proxy.passage import Asking, Passage
from gateway.proxy.relayed import Relayed
from gateway.proxy.upstream import Pool, Upstream
from provisioner.clock import Clock
from provisioner.instance import Endpoint

__all__ = ["Passage", "Relay", "Relayed"]


class Relay:
    """Carries requests to Machines and answers back, HTTP and WebSocket alike.

    One for a process. All methods belong to one event loop.
    """

    def __init__(self, limits: ProxyLimits, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._pool = Pool(limits, clock)
        self.live = Live(clock, grace=limits.drain_s)
        self._ticker: asyncio.TimerHandle | None = None
        self._closed = False

    async def relay(self, request: web.BaseRequest, passage: Passage) -> web.StreamResponse:
        """Answer `request` with what the Machine says; returns when the exchange (or WebSocket) is over.

        The answer is written straight to the client. If the client leaves, or the handler is cancelled, the
        Machine's side ends too. An answer that breaks off ends the client's connection.

        Raises:
            UpstreamError: as long as nothing of an answer was sent to the client.
        """
        front, client = cast("FrontConnection", request.protocol), request.transport
        asked = front.asked
        if client is None or asked is None:
            return Relayed()
        if self._limits.max_body_bytes is not None and asked.length > self._limits.max_body_bytes:
            raise BodyTooLarge(f"the body has {asked.length} bytes")
        ours = cookies_of(passage.drop_cookies, passage.drop_cookie_prefixes)
        asking = Asking(asked, passage, ours)
        exchange = Exchange(front, client, asking, passage, ours, self._limits, self._clock)
        front.guest = exchange
        self.live.add(exchange)
        passage.touch()
        if self._ticker is None and not self._closed:
            self._ticker = asyncio.get_running_loop().call_later(self._limits.tick_s, self._tick)
        try:
            upstream = self._pool.take(passage.endpoint) or await self._pool.connect(passage.endpoint)
            await self._run(exchange, upstream, asking, request)
            if exchange.started and front.writing_paused:
                await exchange.read()
        finally:
            exchange.client_lost()
            self.live.remove(exchange)
            if front.guest is exchange:
                front.guest = None
        if exchange.error is not None and not exchange.started:
            raise exchange.error
        return Relayed(
            status=exchange.status,
            carried=exchange.carried,
            broken=exchange.error,
            keep_alive=asking.keep_alive and exchange.started and exchange.error is None,
        )

    async def _run(self, exchange: Exchange, upstream: Upstream, asking: Asking, request: web.BaseRequest) -> None:
        while True:
            if exchange.over.done():  # cut, or the client left, while we connected
                upstream.give_back(reusable=True)
                return
            reused = upstream.used
            exchange.attach(upstream)
            if asking.body:
                await self._send(exchange, upstream, asking, request)
            else:
                exchange.request_sent = True
                upstream.transport.write(asking.head)
                await exchange.over
            if not (exchange.error is not None and reused and asking.replayable and exchange.went_unheard):
                return
            # The Machine closed an idle connection while our request was on its way. Once, on a new one.
            exchange.again()
            upstream = await self._pool.connect(upstream.slot.endpoint)

    async def _send(self, exchange: Exchange, upstream: Upstream, asking: Asking, request: web.BaseRequest) -> None:
        """Send a request with a body; returns when the exchange is over."""
        transport = upstream.transport
        if request.content.is_eof() and not asking.expects:  # all of a small body is here
            data = request.content.read_nowait()
            if self._fits(exchange, len(data)):
                exchange.request_sent = True
                transport.writelines([asking.head, *_framed(data, asking), *_last(asking)])
            await exchange.over
            return
        transport.write(asking.head)
        encouragement: asyncio.TimerHandle | None = None
        if asking.expects:
            loop = asyncio.get_running_loop()
            encouragement = loop.call_later(self._limits.continue_s, exchange.encourage)
        try:
            async with asyncio.TaskGroup() as tasks:
                upload = tasks.create_task(self._upload(exchange, upstream, asking, request))
                await exchange.over
                upload.cancel()
        finally:
            if encouragement is not None:
                encouragement.cancel()

    async def _upload(self, exchange: Exchange, upstream: Upstream, asking: Asking, request: web.BaseRequest) -> None:
        """Send the body as it comes, no faster than the Machine takes it. Never raises; is cancelled at the end."""
        content, transport, sent = request.content, upstream.transport, 0
        try:
            while data := await content.readany():
                sent += len(data)
                if not self._fits(exchange, sent):
                    return
                transport.writelines(_framed(data, asking))
                exchange.uploaded()
                if upstream.full:
                    await exchange.drained()
        except Exception:  # whatever aiohttp calls it: the client went away within its body
            exchange.client_lost()
            return
        transport.writelines(_last(asking))
        exchange.uploaded()
        exchange.request_sent = True

    def _fits(self, exchange: Exchange, size: int) -> bool:
        most = self._limits.max_body_bytes
        if most is None or size <= most:
            return True
        exchange.fail(BodyTooLarge(f"the body has more than {most} bytes"))
        return False

    def drop_pool(self, endpoint: Endpoint) -> None:
        """Reuse no connection to `endpoint`; call it before its Machine is suspended."""
        self._pool.drop(endpoint)

    async def close(self) -> None:
        """End everything in progress and close all connections."""
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        for exchange in self.live.all():
            exchange.cut()
        self._pool.close()

    def _tick(self) -> None:
        """One look at all deadlines; goes on as long as there are any."""
        self._ticker = None
        now = self._clock.monotonic()
        for exchange in self.live.all():
            exchange.check(now)
        self._pool.expire()
        nobody = self.live.forget()
        if not self._closed and not (nobody and self._pool.empty):
            self._ticker = asyncio.get_running_loop().call_later(self._limits.tick_s, self._tick)


def _framed(data: bytes, asking: Asking) -> list[bytes]:
    """A piece of the request body, in a chunk of its own if there is no length."""
    if not asking.chunked or not data:
        return [data]
    return [b"%x\r\n" % len(data), data, b"\r\n"]


def _last(asking: Asking) -> list[bytes]:
    return [] if not asking.chunked else [b"0\r\n\r\n"]
