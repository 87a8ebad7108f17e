"""A client's connection: takes requests off the wire one at a time and sees each to its end."""

import asyncio
from typing import Final, Protocol, cast

from golden.guard.relay.answer import Answer, Handler, problem
from golden.guard.relay.body import Buffer
from golden.guard.relay.errors import Malformed
from golden.guard.relay.exchange import Exchange
from golden.guard.relay.head import Framing, RequestHead, head_end, parse_request
from golden.guard.relay.tunnel import Tunnel
from golden.guard.relay.upstream import WRITE_HIGH

IDLE_S: Final = 300.0
"""A connection without a request is closed after this. Longer than a gateway keeps its own idle ones."""
HEAD_S: Final = 30.0
"""Time for a head to arrive in full."""
LINGER_S: Final = 2.0
"""How long the rest of a refused request is read and thrown away. Closing sooner would reset the
connection, and the reset may overtake the answer."""
FLUSH_S: Final = 30.0
"""Time for a client to take the last bytes of a connection that is being closed."""
PIPELINE_LIMIT: Final = 64 * 1024

_NO_REQUEST: Final = RequestHead(b"", b"", 1, [], Framing.NONE, 0, keep_alive=False, websocket=False)


class Registry(Protocol):
    """Who keeps count of open connections."""

    draining: bool
    connections: "set[Downstream]"

    def forget(self, connection: "Downstream") -> None: ...


class Downstream(asyncio.Protocol):
    """One client's connection. At most one exchange or tunnel at a time; later bytes wait."""

    __slots__ = ("_buffer", "_discarding", "_full", "_handler", "_quiet_since", "_registry", "_timer", "_transport",
                 "stream")  # fmt: skip

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, registry: Registry, handler: Handler) -> None:
        self._registry, self._handler = registry, handler
        self._buffer = b""
        self._full = self._discarding = False
        self._quiet_since = asyncio.get_running_loop().time()
        self.stream: Exchange | Tunnel | None = None
        """What is going on here; None between requests."""

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_HIGH)
        self._registry.connections.add(self)
        self._timer = asyncio.get_running_loop().call_later(HEAD_S, self._look_at_the_clock)

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        if self.stream is not None:
            try:
                used = self.stream.from_client(data)
            except Malformed as bad:
                self._spoiled(bad)
                return
            if used == len(data):
                return
            data = data[used:]
        if not self._buffer:
            self._quiet_since = asyncio.get_running_loop().time()
        self._buffer = self._buffer + data if self._buffer else data
        self._next()
        if len(self._buffer) > PIPELINE_LIMIT:
            self.read(False)

    def eof_received(self) -> None:
        if self.stream is not None:
            stream, self.stream = self.stream, None
            stream.client_gone()
            self._transport.abort()
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._registry.forget(self)
        if self.stream is not None:
            stream, self.stream = self.stream, None
            stream.client_gone()

    def pause_writing(self) -> None:
        self._full = True
        if self.stream is not None:
            self.stream.client_full(True)

    def resume_writing(self) -> None:
        self._full = False
        if self.stream is not None:
            self.stream.client_full(False)
        else:
            self._next()

    # For the exchange or tunnel.

    def write(self, pieces: list[Buffer]) -> None:
        """Send `pieces` in order."""
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        elif pieces:
            self._transport.writelines(pieces)

    def read(self, on: bool) -> None:
        """Go on reading, or stop so that the kernel holds the client back."""
        if self._transport.is_closing():
            return
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def answer(self, answer: Answer, request: RequestHead, *, request_done: bool) -> None:
        """Answer by ourselves; nothing of another answer has been sent."""
        keep_alive = request.keep_alive and request_done and not self._registry.draining
        self._transport.write(answer.encode(method=request.method, keep_alive=keep_alive))
        self.over(keep_alive=keep_alive, request_done=request_done)

    def over(self, *, keep_alive: bool, request_done: bool) -> None:
        """The answer is complete: on to the next request, or the end."""
        self.stream = None
        self._quiet_since = asyncio.get_running_loop().time()
        if not request_done:
            self._linger()
        elif not keep_alive or self._registry.draining:
            self.close()
        else:
            self.read(True)
            if self._buffer:  # from the loop, so that a thousand pipelined requests do not nest
                asyncio.get_running_loop().call_soon(self._next)

    def switch(self, tunnel: Tunnel) -> None:
        """From now on the bytes are `tunnel`'s."""
        self.stream = tunnel
        self.read(True)
        if self._buffer:
            data, self._buffer = self._buffer, b""
            tunnel.from_client(data)
        if self._registry.draining:
            tunnel.go_away()

    def close(self) -> None:
        """Send what is under way, then close. A client that does not take it is cut off after FLUSH_S."""
        self.stream = None
        self._discarding = True
        self._transport.close()
        self.abort_in(FLUSH_S)

    def leave(self) -> None:
        """We are going down: end what is idle now, WebSockets with 1001, and exchanges when they are over."""
        if self.stream is None:
            self.close()
        elif isinstance(self.stream, Tunnel):
            self.stream.go_away()

    def abort_in(self, seconds: float) -> None:
        """Cut off whatever is going on then."""
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    # Inside.

    def _next(self) -> None:
        while self.stream is None and self._buffer and not self._full and not self._discarding:
            try:
                # RFC 9112 §2.2: an empty line before a request is to be ignored.
                data = self._buffer[2:] if self._buffer.startswith(b"\r\n") else self._buffer
                end = head_end(data)
                if end < 0:
                    return
                request = parse_request(data[:end])
            except Malformed as bad:
                self._spoiled(bad)
                return
            self._buffer = b""
            self._begin(request, data[end:])

    def _begin(self, request: RequestHead, rest: bytes) -> None:
        verdict = self._handler(request)
        if isinstance(verdict, Answer):
            self._buffer = rest
            self.answer(verdict, request, request_done=request.framing is Framing.NONE)
            return
        self.stream = exchange = Exchange(self, request, verdict)
        exchange.start()
        if rest:
            self.data_received(rest)

    def _spoiled(self, bad: Malformed) -> None:
        """What comes after these bytes cannot be told: answer if that is still possible, and end."""
        stream, self.stream, self._buffer = self.stream, None, b""
        if stream is not None:
            stream.client_gone()
            if not stream.waiting:
                self.close()
                return
        self.answer(problem(bad.status, bad.what), _NO_REQUEST, request_done=False)

    def _linger(self) -> None:
        self._discarding, self._buffer = True, b""
        self.read(True)
        if not self._transport.is_closing():
            self._transport.write_eof()
        self.abort_in(LINGER_S)

    def _look_at_the_clock(self) -> None:
        loop = asyncio.get_running_loop()
        limit = HEAD_S if self._buffer else IDLE_S
        if self.stream is None and loop.time() - self._quiet_since >= limit:
            if self._buffer:
                self._spoiled(Malformed("The head did not arrive in time.", status=408))
            else:
                self.close()
        else:
            self._timer = loop.call_later(HEAD_S, self._look_at_the_clock)
