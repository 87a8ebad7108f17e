"""From a request to its answer through one Endpoint, the core's way: a handler of aiohttp's."""

import asyncio
from typing import TYPE_CHECKING, cast

from aiohttp import web

from gateway.proxy.asked import Asked
from gateway.proxy.core import CoreConnection
from gateway.proxy.engine import Engine
from gateway.proxy.errors import BodyTooLarge, UpstreamError
from gateway.proxy.exchange import Exchange
from gateway.proxy.framing import CHUNKED
from gateway.proxy.passage import Passage
from gateway.proxy.relayed import Relayed
from gateway.proxy.upstream import Upstream

if TYPE_CHECKING:
    from gateway.proxy.front import FrontConnection

__all__ = ["Passage", "Relay", "Relayed", "fault_of"]


class Relay(Engine):
    """Carries requests to Machines and answers back, HTTP and WebSocket alike."""

    async def relay(self, request: web.BaseRequest, passage: Passage, *, added: bytes = b"") -> web.StreamResponse:
        """Answer `request` with what the Machine says; returns when the exchange (or WebSocket) is over.

        `added` is a line of ours for the answer's head, without its CRLF.

        The answer is written straight to the client. If the client leaves, or the handler is cancelled, the
        Machine's side ends too. An answer that breaks off ends the client's connection.

        Raises:
            UpstreamError: as long as nothing of an answer was sent to the client.
        """
        front, client = _front_of(request), request.transport
        asked = front.asked
        if client is None or asked is None:
            return Relayed()
        if asked.fault is not None and asked.fault.sent:
            raise asked.fault  # it has been sent once
        asked.added = added
        if self.limits.max_body_bytes is not None and asked.length > self.limits.max_body_bytes:
            raise BodyTooLarge(f"the body has {asked.length} bytes")
        exchange = Exchange(front, client, asked, passage, self.limits, self.clock)
        front.guest = exchange
        self.enter(exchange, passage)
        try:
            upstream = self.pool.take(passage) or await self.pool.connect(passage.endpoint)
            await self._run(exchange, upstream, asked, request)
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
            keep_alive=asked.keep_alive and exchange.started and exchange.error is None,
        )

    async def _run(self, exchange: Exchange, upstream: Upstream, asked: Asked, request: web.BaseRequest) -> None:
        while True:
            if exchange.done:  # cut, or the client left, while we connected
                upstream.give_back(reusable=True)
                return
            reused = upstream.used
            exchange.attach(upstream)
            if asked.body:
                await self._send(exchange, upstream, asked, request)
            else:
                exchange.request_sent = True
                upstream.transport.write(exchange.head)
                await exchange.over()
            if not (exchange.error is not None and reused and asked.replayable and exchange.went_unheard):
                return
            # The Machine closed an idle connection while our request was on its way. Once, on a new one.
            exchange.again()
            upstream = await self.pool.connect(upstream.slot.endpoint)

    async def _send(self, exchange: Exchange, upstream: Upstream, asked: Asked, request: web.BaseRequest) -> None:
        """Send a request with a body; returns when the exchange is over."""
        transport = upstream.transport
        if request.content.is_eof() and not asked.expects:  # all of a small body is here
            data = request.content.read_nowait()
            if self._fits(exchange, len(data)):
                exchange.request_sent = True
                transport.writelines([exchange.head, *_framed(data, asked), *_last(asked)])
            await exchange.over()
            return
        transport.write(exchange.head)
        encouragement: asyncio.TimerHandle | None = None
        if asked.expects:
            loop = asyncio.get_running_loop()
            encouragement = loop.call_later(self.limits.continue_s, exchange.encourage)
        try:
            async with asyncio.TaskGroup() as tasks:
                upload = tasks.create_task(self._upload(exchange, upstream, asked, request))
                await exchange.over()
                upload.cancel()
        finally:
            if encouragement is not None:
                encouragement.cancel()

    async def _upload(self, exchange: Exchange, upstream: Upstream, asked: Asked, request: web.BaseRequest) -> None:
        """Send the body as it comes, no faster than the Machine takes it. Never raises; is cancelled at the end."""
        content, transport, sent = request.content, upstream.transport, 0
        try:
            while data := await content.readany():
                sent += len(data)
                if not self._fits(exchange, sent):
                    return
                transport.writelines(_framed(data, asked))
                exchange.uploaded()
                if upstream.full:
                    await exchange.drained()
        except Exception:  # whatever aiohttp calls it: the client went away within its body
            exchange.client_lost()
            return
        transport.writelines(_last(asked))
        exchange.uploaded()
        exchange.request_sent = True

    def _fits(self, exchange: Exchange, size: int) -> bool:
        most = self.limits.max_body_bytes
        if most is None or size <= most:
            return True
        exchange.fail(BodyTooLarge(f"the body has more than {most} bytes"))
        return False


def _front_of(request: web.BaseRequest) -> "FrontConnection":
    return cast("CoreConnection", request.protocol).front


def fault_of(request: web.BaseRequest) -> UpstreamError | None:
    """What the fast lane met with when it tried to have `request` answered; None if it did not try.

    If anything of the request was `sent`, this is its answer: `Relay.relay` refuses to send it again.
    """
    asked = _front_of(request).asked
    return None if asked is None else asked.fault


def _framed(data: bytes, asked: Asked) -> list[bytes]:
    """A piece of the request body, in a chunk of its own if there is no length."""
    if asked.length != CHUNKED or not data:
        return [data]
    return [b"%x\r\n" % len(data), data, b"\r\n"]


def _last(asked: Asked) -> list[bytes]:
    return [] if asked.length != CHUNKED else [b"0\r\n\r\n"]
