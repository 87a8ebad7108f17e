"""The client's side: aiohttp's server, behind a gate that lets in one well-framed request at a time.

aiohttp owns parsing, keep-alive, shutdown and the gateway's own pages. Before its parser stands the gate,
because that parser (3.14.5) lets pass what must not: `Transfer-Encoding: gzip, chunked`, chunked HTTP/1.0, other
versions; and it turns a trailer of one request into a header of the next. One at a time, because then a
bad request cannot spoil the good one before it, and bytes behind an upgrade are never taken for a request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

from aiohttp import web

from gateway.proxy.framing import CHUNKED, Chunks, Malformed
from gateway.proxy.heads import Asked, frame_request
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.relayed import Relayed

_LINGER_S: Final = 2.0
_HELD_MOST: Final = 65_536


class Guest(Protocol):
    """What a connection does for the exchange that uses it."""

    @property
    def started(self) -> bool: ...
    def client_lost(self) -> None: ...
    def client_full(self) -> None: ...
    def client_drained(self) -> None: ...


class FrontConnection(web.RequestHandler):
    """One client connection: aiohttp's protocol, the gate before it, and a raw mode after an upgrade."""

    __slots__ = ("_alarm", "_answering", "_chunks", "_held", "_left", "_limits", "_refused", "_sink", "asked", "guest")

    def __init__(self, manager: "Front", limits: ProxyLimits, **options: Any) -> None:
        super().__init__(manager, **options)
        self._limits = limits
        self.guest: Guest | None = None
        """The exchange in progress, told when the client goes or cannot keep up."""
        self.asked: Asked | None = None
        """The current request's head."""
        self._held = b""  # bytes whose turn has not come
        self._left = 0  # body bytes of the current request still to come
        self._chunks: Chunks | None = None  # or its chunked body
        self._answering = False  # a request was let in and is not answered yet
        self._refused = False
        self._sink: Callable[[bytes], None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def body_complete(self) -> bool:
        """The current request's whole body has been let in."""
        return not self._left and self._chunks is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).set_write_buffer_limits(self._limits.high_water, self._limits.low_water)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        self._held = b""
        self._sink = None
        guest, self.guest = self.guest, None
        if guest is not None:
            guest.client_lost()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.guest is not None:
            self.guest.client_full()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.guest is not None:
            self.guest.client_drained()

    def splice(self, sink: Callable[[bytes], None]) -> None:
        """From now on every byte of the client goes to `sink`, beginning with those that came early."""
        self._sink = sink
        early, self._held = self._held, b""
        if early:
            sink(early)
        if self.transport is not None:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink(data)
        elif not data:  # aiohttp asks its parser to go on after a pause
            super().data_received(data)
        elif not self._refused:
            if self._held:
                data, self._held = self._held + data, b""
            self._let_in(data)

    def _let_in(self, data: bytes) -> None:
        """Give aiohttp what belongs to the current request, or to the next if there is none."""
        try:
            while data:
                if self._left:
                    piece, data = (data, b"") if len(data) <= self._left else (data[: self._left], data[self._left :])
                    self._left -= len(piece)
                    super().data_received(piece)
                elif self._chunks is not None:
                    piece, data = self._chunks.feed(data)
                    if self._chunks.done:
                        self._chunks = None
                    if piece:
                        super().data_received(piece)
                elif self._answering:
                    self._held = data
                    if len(data) > _HELD_MOST and self.transport is not None:
                        self.transport.pause_reading()
                    return
                else:
                    data = self._open(data)
        except Malformed as malformed:
            self._refuse(malformed.status, malformed.why)

    def _open(self, data: bytes) -> bytes:
        """Let in one request head; returns what stands behind it."""
        limits = self._limits
        if data[:1] in b"\r\n":
            data = data.lstrip(b"\r\n")  # RFC 9112 §2.2: empty lines before a request
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._wait_for_head(data)
            return b""
        if end > limits.max_head_bytes:
            self._too_large(data)
        if self._alarm is not None:
            self._stop_waiting()
        asked = frame_request(data[:end] if len(data) > end else data)
        if data.find(b"\r\n") > limits.max_target_bytes:
            self._too_large(data)
        if asked.length == CHUNKED:
            self._chunks = Chunks()
        else:
            self._left = asked.length
        self.asked = asked
        self._answering = True
        super().data_received(asked.shown)
        return data[end:]

    def _wait_for_head(self, data: bytes) -> None:
        if len(data) > self._limits.max_head_bytes:
            self._too_large(data)
        self._held = data
        if self._alarm is None and data:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(self._limits.head_s, self._refuse, 408, "the request took too long to arrive")

    def _too_large(self, data: bytes) -> None:
        line = data.find(b"\r\n")
        if line < 0 or line > self._limits.max_target_bytes:
            raise Malformed("the address is too long", 414)
        raise Malformed("the header fields are too large", 431)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        answered = await super().finish_response(request, resp, start_time)
        self._answering = False
        if self._held and answered[0].keep_alive and self._sink is None and not self._refused:
            data, self._held = self._held, b""
            if self.transport is not None:
                self.transport.resume_reading()
            self._let_in(data)
        return answered

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        # Somebody's broken request is no error of ours to log, and its bytes are nothing to echo.
        if "Too many headers" in (message or ""):
            self._refuse(431, "there are too many header fields")
        else:
            self._refuse(400, "this is no valid HTTP request")
        return Relayed(status=status)

    def _refuse(self, status: int, why: str) -> None:
        """Answer what aiohttp never sees, then end the connection without losing the answer to a reset."""
        self._stop_waiting()
        self._refused = True
        self._held = b""
        guest, self.guest = self.guest, None
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if guest is not None:
            guest.client_lost()
        if guest is not None and guest.started:
            transport.abort()
            return
        words = _words(status, why).encode()
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        transport.write(f"{head}Content-Length: {len(words)}\r\nConnection: close\r\n\r\n".encode() + words)
        if transport.can_write_eof():
            transport.write_eof()
        self._alarm = asyncio.get_running_loop().call_later(_LINGER_S, transport.close)

    def _stop_waiting(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def _words(status: int, why: str) -> str:
    return f"{status} {HTTPStatus(status).phrase}: {why}.\n"


class Front(web.Server):
    """A protocol factory for `loop.create_server`; see aiohttp's low-level server.

    A handler is cancelled when its client leaves, unless `handler_cancellation=False` is given. Further
    options are those of `web.RequestHandler`.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        limits: ProxyLimits | None = None,
        *,
        handler_cancellation: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(handler, handler_cancellation=handler_cancellation)
        self._limits = limits or ProxyLimits()
        # One byte line, field and number limits apply: ours, at the gate.
        self._options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": self._limits.keepalive_s,
            "max_line_size": self._limits.max_head_bytes,
            "max_field_size": self._limits.max_head_bytes,
            "max_headers": self._limits.max_fields + 1,
            "read_bufsize": self._limits.read_buffer,
            **options,
        }

    def __call__(self) -> FrontConnection:
        return FrontConnection(self, self._limits, loop=asyncio.get_running_loop(), **self._options)
