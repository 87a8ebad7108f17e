"""What comes from a client: a strict gate that lets in one well-framed request at a time.

The gate stands before aiohttp's parser, because that one (3.14.5) lets pass what must not: `Transfer-Encoding: gzip,
chunked`, chunked HTTP/1.0, other versions; and it turns a trailer of one request into a header of the next. One
at a time, because then a bad request cannot spoil the good one before it, bytes behind an upgrade are never taken for a
request, and lanes may change from one request to the next.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from gateway.proxy.asked import Asked, known_request, read_request
from gateway.proxy.framing import CHUNKED, Chunks, Malformed

if TYPE_CHECKING:
    from gateway.proxy.plain import Plain

_HELD_MOST: Final = 65_536
_END: Final = b"\r\n\r\n"


class Taker(Protocol):
    """Who gets the body of the current request."""

    def data_received(self, data: bytes) -> None: ...


class Inlet(asyncio.Protocol):
    """The reading half of a client's connection. Who derives from it sees to the answers."""

    __slots__ = (
        "_alarm", "_answering", "_chunks", "_front", "_held", "_left", "_refused", "_sink", "_taker", "asked",
        "leaving", "quiet", "transport",
    )  # fmt: skip

    def __init__(self, front: "Plain") -> None:
        self._front = front
        self.transport: asyncio.Transport | None = None
        self.asked: Asked | None = None
        """The current request's head."""
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
        self._sink: Callable[[bytes], None] | None = None  # after an upgrade
        self._alarm: asyncio.TimerHandle | None = None

    @abstractmethod
    def _begin(self, asked: Asked) -> None:
        """A request was let in: have it answered. Its body, if it has one, comes next."""

    @abstractmethod
    def refuse(self, status: int, why: str) -> None:
        """Answer what no lane sees, then end the connection."""

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

    def data_received(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink(data)
        elif not self._refused:
            if self._held:
                data, self._held = self._held + data, b""
            self._let_in(data)

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
        self._begin(asked)
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

    def _next(self) -> None:
        data, self._held = self._held, b""
        if self.transport is not None:
            self.transport.resume_reading()
        self._let_in(data)

    def _stop_waiting(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
