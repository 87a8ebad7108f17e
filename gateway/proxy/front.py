"""The client's side: a strict gate that lets in one well-framed request at a time, to the fast lane or to the core.

The gate stands before aiohttp's parser, because that one (3.14.5) lets pass what must not: `Transfer-Encoding: gzip,
chunked`, chunked HTTP/1.0, other versions; and it turns a trailer of one request into a header of the next. One
at a time, because then a bad request cannot spoil the good one before it, bytes behind an upgrade are never taken for a
request, and lanes may change from one request to the next.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from gateway.proxy.asked import Asked, known_request, read_request
from gateway.proxy.errors import UpstreamError
from gateway.proxy.framing import CHUNKED, Chunks, Malformed

if TYPE_CHECKING:
    from gateway.proxy.plain import Own, Plain

_LINGER_S: Final = 2.0
_BODY_LINGER_S: Final = 10.0
_HELD_MOST: Final = 65_536
_END: Final = b"\r\n\r\n"


class Guest(Protocol):
    """What a connection does for the exchange that uses it."""

    @property
    def started(self) -> bool: ...
    def client_lost(self) -> None: ...
    def client_full(self) -> None: ...
    def client_drained(self) -> None: ...


class Taker(Protocol):
    """Who gets the body of the current request."""

    def data_received(self, data: bytes) -> None: ...


class Core(Taker, Protocol):
    """A server's protocol for what the lane does not take: on the gate's transport, one framed request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def close(self) -> None: ...


class FrontConnection(asyncio.Protocol):
    """One client connection: the gate, the lanes behind it, and a raw mode after an upgrade."""

    __slots__ = (
        "_alarm", "_answering", "_chunks", "_core", "_front", "_held", "_left", "_peer", "_refused", "_sink", "_taker",
        "asked", "guest", "leaving", "quiet", "transport", "writing_paused",
    )  # fmt: skip

    def __init__(self, front: "Plain") -> None:
        self._front = front
        self._core: Core | None = None
        self.transport: asyncio.Transport | None = None
        self._peer: str | None = None
        self.guest: Guest | None = None
        """The exchange in progress, told when the client goes or cannot keep up."""
        self.asked: Asked | None = None
        """The current request's head."""
        self.writing_paused = False
        self.leaving = False
        """The connection ends with the current request."""
        self.quiet = 0
        """Looks of the server at this connection since the last request began."""
        self._held = b""  # bytes whose turn has not come
        self._left = 0  # body bytes of the current request still to come
        self._chunks: Chunks | None = None  # or its chunked body
        self._taker: Taker | None = None  # gets them; nobody: they are swallowed
        self._answering = False  # a request was let in and is not answered yet
        self._refused = False
        self._sink: Callable[[bytes], None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        return self.transport is not None

    @property
    def idle(self) -> bool:
        """Neither a request nor a part of one is here."""
        return not (self._answering or self._held or self._refused) and self.body_complete

    @property
    def body_complete(self) -> bool:
        """The current request's whole body has been let in."""
        return not self._left and self._chunks is None

    @property
    def body_size(self) -> int:
        """Bytes of body that the chunks of the current request have announced so far."""
        return self._chunks.size if self._chunks is not None else 0

    @property
    def peer(self) -> str:
        """The client's address, as text; "" if it has none."""
        if self._peer is None:
            name = self.transport.get_extra_info("peername") if self.transport is not None else None
            self._peer = str(name[0]) if isinstance(name, tuple) else ""
        return self._peer

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(self._front.limits.high_water, self._front.limits.low_water)
        self._front.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        self._front.closed(self)
        self._stop_waiting()
        self._held = b""
        self._sink = self._taker = None
        guest, self.guest = self.guest, None
        if guest is not None:
            guest.client_lost()
        if self._core is not None:
            self._core.connection_lost(exc)
            self._core = None

    def pause_writing(self) -> None:
        self.writing_paused = True
        if self._core is not None:
            self._core.pause_writing()
        if self.guest is not None:
            self.guest.client_full()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self._core is not None:
            self._core.resume_writing()
        if self.guest is not None:
            self.guest.client_drained()

    def splice(self, sink: Callable[[bytes], None]) -> None:
        """From now on every byte of the client goes to `sink`, beginning with those that came early."""
        self._sink = sink
        self.asked = self._taker = None
        early, self._held = self._held, b""
        if early:
            sink(early)
        if self.transport is not None:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink(data)
        elif not self._refused:
            if self._held:
                data, self._held = self._held + data, b""
            self._let_in(data)

    # -- the gate

    def _let_in(self, data: bytes) -> None:
        """Pass on what belongs to the current request, or to the next if there is none."""
        try:
            while data:
                if self._left:
                    piece, data = (data, b"") if len(data) <= self._left else (data[: self._left], data[self._left :])
                    self._left -= len(piece)
                    self._pass_on(piece)
                elif self._chunks is not None:
                    chunks = self._chunks
                    piece, data = chunks.feed(data)
                    if chunks.done:
                        self._chunks = None
                    if piece:
                        self._pass_on(piece)
                elif self._answering:
                    self._held = data
                    if len(data) > _HELD_MOST and self.transport is not None:
                        self.transport.pause_reading()
                    return
                elif self.leaving:
                    return
                else:
                    data = self._open(data)
        except Malformed as malformed:
            self.refuse(malformed.status, malformed.why)

    def _pass_on(self, piece: bytes) -> None:
        if self._taker is not None:
            self._taker.data_received(piece)
        elif self._alarm is not None and self.body_complete:
            self._stop_waiting()

    def _open(self, data: bytes) -> bytes:
        """Let in one request head; returns what stands behind it."""
        limits = self._front.limits
        if data[:1] in b"\r\n":
            data = data.lstrip(b"\r\n")  # RFC 9112 §2.2: empty lines before a request
        end, lines, asked = len(data), None, None
        if data[-4:] == _END and end <= limits.max_head_bytes:
            asked = known_request(data, self._front.blocks)
            if asked is None:
                lines = data.splitlines()  # needed anyway, and tells where the head ends sooner than a search for it
        if asked is None:
            if lines is None or lines.index(b"") != len(lines) - 1:
                end, lines = data.find(_END) + 4, None
            if end < 4:
                self._wait_for_head(data)
                return b""
            if end > limits.max_head_bytes:
                self._too_large(data)
            asked = read_request(data[:end] if len(data) > end else data, self._front.blocks, lines)
        if self._alarm is not None:
            self._stop_waiting()
        if len(asked.target) > limits.max_target_bytes:
            self._too_large(data)
        if asked.fields > limits.max_fields:
            raise Malformed("there are too many header fields", 431)
        if asked.length == CHUNKED:
            self._chunks = Chunks()
        else:
            self._left = asked.length
        self.asked = asked
        self._answering = True
        self.quiet = 0
        lane = self._front.lane
        if lane is None or not lane.take(self, asked):
            self._give_to_core(asked.shown)
        return data[end:] if len(data) > end else b""

    def _wait_for_head(self, data: bytes) -> None:
        limits = self._front.limits
        if len(data) > limits.max_head_bytes:
            self._too_large(data)
        self._held = data
        if self._alarm is None and data:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(limits.head_s, self.refuse, 408, "the request took too long to arrive")

    def _too_large(self, data: bytes) -> None:
        line = data.find(b"\r\n")
        if line < 0 or line > self._front.limits.max_target_bytes:
            raise Malformed("the address is too long", 414)
        raise Malformed("the header fields are too large", 431)

    # -- the lanes' side

    def take_body(self, taker: Taker) -> None:
        """The current request's body goes to `taker`."""
        self._taker = taker

    def hand_over(self, fault: UpstreamError, body: list[bytes]) -> None:
        """The fast lane could not have the current request answered, and the client got nothing: the core's turn.

        `body`: what came of it, if `fault` says that nothing was sent. Otherwise there is nothing to be sent again.
        """
        asked = self.asked
        if asked is None:
            return
        self.guest = None
        asked.fault = fault
        if not fault.sent:
            core = self._give_to_core(asked.shown)
            for piece in body:
                core.data_received(piece)
        elif not asked.body:
            self._give_to_core(asked.shown)
        else:
            core = self._give_to_core(asked.stub)
            self._taker = rest = Remainder(self, core)
            rest.data_received(b"")

    def answer(self, own: "Own") -> None:
        """Answer the current request, of which the client got nothing yet, by ourselves."""
        asked, transport, self.guest = self.asked, self.transport, None
        if asked is None or transport is None or transport.is_closing():
            return
        keep_alive = asked.keep_alive and asked.http11 and self.body_complete and not self.leaving
        words = own.encode(head_only=asked.head_only, keep_alive=keep_alive)
        if not self.body_complete:
            self._last_words(transport, words)
        else:
            transport.write(words)
            self.leaving = not keep_alive
            self.answered(keep_alive=keep_alive)

    def answered(self, *, keep_alive: bool) -> None:
        """The fast lane's exchange is over."""
        self.asked = self.guest = self._taker = None
        self._answering = False
        transport = self.transport
        if transport is None:
            return
        if self.leaving or not keep_alive:
            transport.close()
        elif not self.body_complete:  # answered early: the rest is swallowed, for a while
            self._alarm = asyncio.get_running_loop().call_later(_BODY_LINGER_S, transport.close)
        elif self._held:
            self._next()

    def answered_by_core(self, *, keep_alive: bool) -> None:
        """aiohttp has written its answer; if the connection is to end, it sees to that."""
        self.asked = None
        self._answering = False
        if self.leaving and self._core is not None:
            self._core.close()
        elif self._held and keep_alive and self._sink is None and not self._refused:
            self._next()

    def _next(self) -> None:
        data, self._held = self._held, b""
        if self.transport is not None:
            self.transport.resume_reading()
        self._let_in(data)

    def _give_to_core(self, head: bytes) -> Core:
        core = self._core
        if core is None:
            core = self._core = self._front.core_for(self)
            if self.transport is not None:
                core.connection_made(self.transport)
            if self.writing_paused:
                core.pause_writing()
        self._taker = core
        core.data_received(head)
        return core

    # -- ends

    def refuse(self, status: int, why: str) -> None:
        """Answer what no lane sees, then end the connection."""
        guest, self.guest = self.guest, None
        transport = self.transport
        if guest is not None and transport is not None and not transport.is_closing():
            guest.client_lost()
        if transport is None or transport.is_closing():
            self._refused = True
        elif guest is not None and guest.started:
            self._refused = True
            transport.abort()
        else:
            self._last_words(transport, self._front.refusal(status, why).encode(head_only=False, keep_alive=False))

    def _last_words(self, transport: asyncio.Transport, words: bytes) -> None:
        """End the connection with `words`, which are not lost to a reset: what still comes is swallowed for a while."""
        self._stop_waiting()
        self._refused = True
        self._held = b""
        self._taker = self.guest = None
        transport.write(words)
        if transport.can_write_eof():
            transport.write_eof()
        self._alarm = asyncio.get_running_loop().call_later(_LINGER_S, transport.close)

    def leave(self) -> None:
        """End the connection: now if it is idle, else with the current answer."""
        self.leaving = True
        if self.asked is not None and self._answering:
            self.asked.keep_alive = False  # so the answer says so, unless it has begun
        if self._core is not None and self._taker is self._core:
            self._core.close()
        if self.idle and self.transport is not None:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


class Remainder:
    """What is left of a body whose beginning went elsewhere: one byte for the core, once all of it has come.

    So a core which answers such a request with an error keeps the connection open for as long as the client
    still sends, and nothing of the body is taken for another request.
    """

    __slots__ = ("_core", "_front")

    def __init__(self, front: FrontConnection, core: Core) -> None:
        self._front, self._core = front, core

    def data_received(self, data: bytes) -> None:
        if self._front.body_complete:
            self._core.data_received(b"x")
