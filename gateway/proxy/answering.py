"""An answer on its way: takes what a Machine sends and writes what the client gets.

Knows transports and framing and neither side's protocol, so that every lane can use it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol

from gateway.proxy.fields import Cookies
from gateway.proxy.framing import CHUNKED, Chunks, Malformed
from gateway.proxy.heads import Answer, parse_answer

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_MOST_INTERIM: Final = 32
_LARGE: Final = 32_768
_SIZE_MOST: Final = 10
_OF_COMMENTS: Final = b":\r\n"
"""What a comment or a blank line of an event stream begins with."""


class Terms(Protocol):
    """What the request says about how it may be answered."""

    head_only: bool
    http11: bool
    upgrade: bool
    expects: bool
    """The client waits for `100 Continue`; cleared once it got one."""
    keep_alive: bool
    """The client's connection may live on; cleared where the answer's framing forbids it."""
    added: bytes
    """A line of ours for the answer's head, without its CRLF; empty: none."""


class Answering(ABC):
    """One answer, whatever its framing. Who derives from it is told how it goes, and finds what `take` is to be called
    with.

    It keeps no bound method of its own: such circles would be left to the garbage collector, which then took a
    quarter of the time of a small request.
    """

    __slots__ = (
        "_chunks", "_events", "_head_most", "_held", "_interim", "_left", "_ours", "_reusable", "_terms", "_to_end",
        "carried", "client", "received", "started", "status",
    )  # fmt: skip

    def __init__(self, client: asyncio.Transport, terms: Terms, ours: Cookies, head_most: int) -> None:
        self.client, self._terms, self._ours = client, terms, ours
        self._head_most = head_most
        self.status = 0
        self.received = False
        """The Machine said something."""
        self.started = False
        """A final answer's first byte went to the client: no other answer may follow."""
        self.carried = 0
        """Bytes of the answer's body."""
        self._held = b""
        self._interim = 0
        self._left = 0
        self._reusable = True
        self._to_end = False
        self._events = False
        self._chunks: Chunks | None = None

    # -- told to who derives

    @abstractmethod
    def finished(self, *, reusable: bool) -> None:
        """The whole answer was written; `reusable`: the Machine's connection is in step."""

    @abstractmethod
    def garbled(self, why: str) -> None:
        """The Machine's bytes are no valid answer."""

    @abstractmethod
    def streams(self, sink: Callable[[bytes], None]) -> None:
        """The head of a streaming answer was written; what the Machine says from now on goes to `sink`."""

    @abstractmethod
    def moved(self) -> None:
        """More than a keep-alive comment of a streaming answer passed."""

    @abstractmethod
    def switched(self, rest: bytes) -> None:
        """The 101 was written; `rest` came behind it, and everything from now on is the owner's."""

    # -- asked by who derives

    def encourage(self) -> None:
        """Tell a client that waits for it to send its body; once."""
        if self._terms.expects and not self.started:
            self._terms.expects = False
            self.client.write(_CONTINUE)

    def end_of_input(self) -> bool:
        """The Machine ended its connection in good order. Returns whether that completed the answer."""
        if self._to_end and self._terms.http11:
            self.client.write(b"0\r\n\r\n")
        return self._to_end

    def end_early(self) -> bool:
        """Finish an event stream where it is, if that can be done so that it reads as whole."""
        if self._events and self._terms.http11 and (self._chunks.at_boundary if self._chunks else self._to_end):
            self.client.write(b"0\r\n\r\n")
            return True
        return False

    def take(self, data: bytes) -> None:
        """The Machine said `data`, and the head of its answer is not complete."""
        self.received = True
        if self._held:
            data, self._held = self._held + data, b""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > self._head_most:
            if len(data) > self._head_most:
                self.garbled("the head is too large")
            else:
                self._held = data
            return
        try:
            answer = parse_answer(data[: end + 2], self._ours)
        except Malformed as malformed:
            self.garbled(malformed.why)
            return
        if answer.status < 200:
            self._take_interim(answer, data[end + 4 :])
        else:
            self._begin(answer, data, end + 4)

    def _take_interim(self, answer: Answer, rest: bytes) -> None:
        self._interim += 1
        if answer.length is not None or self._interim > _MOST_INTERIM:
            self.garbled("no valid informational answer")
        elif answer.status == 101:
            if not self._terms.upgrade or answer.upgrade != b"websocket":
                self.garbled("an upgrade nobody asked for")
                return
            self.started = True
            self.status = 101
            lines = [*answer.lines, b"Connection: Upgrade", b"Upgrade: websocket", b"", b""]
            self.client.write(b"\r\n".join(lines))
            self.switched(rest)
        else:
            if answer.status == 100:
                self.encourage()  # a client that expects nothing, or got it already, is not told
            elif self._terms.http11:
                self.client.write(b"\r\n".join([*answer.lines, b"", b""]))
            if rest:
                self.take(rest)

    def _begin(self, answer: Answer, data: bytes, at: int) -> None:
        """Write the head, with as much of the body as came along, and get ready for the rest."""
        terms, lines, length = self._terms, answer.lines, answer.length
        self.started = True
        self.status = answer.status
        reusable = not answer.closes
        if terms.head_only or answer.status in (204, 304):
            length = 0
        elif length is None or length == CHUNKED:
            reusable = reusable and length is not None
            if terms.http11:
                lines.append(b"Transfer-Encoding: chunked")
            else:  # nothing but the end of the connection can tell such a client the end of the body
                terms.keep_alive = False
        if terms.added:
            lines.append(terms.added)
        if not terms.keep_alive:
            lines.append(b"Connection: close")
        elif not terms.http11:
            lines.append(b"Connection: keep-alive")
        lines.append(b"")
        if length is not None and length == len(data) - at and length < _LARGE:
            lines.append(data[at:])  # the whole of a small answer: one write
            self.client.write(b"\r\n".join(lines))
            self.carried = length
            self.finished(reusable=reusable)
            return
        lines.append(b"")
        self.client.write(b"\r\n".join(lines))
        if length == 0:
            self.finished(reusable=False)  # surplus behind it
            return
        self._reusable = reusable
        self._events = answer.events
        sink = self._take_length
        if length is None:
            self._to_end = True
            sink = self._take_to_end
        elif length == CHUNKED:
            self._chunks = Chunks([] if answer.events or not terms.http11 else None)
            sink = self._take_chunks
        else:
            self._left = length
        self.streams(sink)
        self.moved()
        if len(data) > at:
            sink(data[at:])

    # What is written is counted afterwards: the client need not wait for that.

    def _take_length(self, data: bytes) -> None:
        left = self._left - len(data)
        if left < 0:
            data = data[:left]
        self._left = left
        self.client.write(data)
        self._count(data)
        if left <= 0:
            self.finished(reusable=left == 0 and self._reusable)

    def _take_chunks(self, data: bytes) -> None:
        chunks, terms = self._chunks, self._terms
        if chunks is None:  # never: set together with this method
            return
        end = data.find(b"\r\n", 0, _SIZE_MOST)
        size = len(data) - end - 4
        if (
            size > 0 and chunks.at_boundary and terms.http11
            and data[:end] == b"%x" % size and data[-2:] == b"\r\n"
        ):  # fmt: skip
            # One whole chunk and nothing else: an event, most of the time. It goes on at once.
            self.client.write(data)
            self.carried += size
            if not self._events or data[end + 2] not in _OF_COMMENTS or not _only_comments(data[end + 2 : -2]):
                self.moved()
            return
        try:
            raw, surplus = chunks.feed(data)
        except Malformed as malformed:
            self.garbled(malformed.why)
            return
        if chunks.payload is not None:
            data = b"".join(chunks.payload)
            chunks.payload.clear()
        out = raw if terms.http11 else data
        if out:
            self.client.write(out)
        self._count(data)
        if chunks.done:
            self.finished(reusable=not surplus and self._reusable)

    def _take_to_end(self, data: bytes) -> None:
        if self._terms.http11:
            self.client.writelines([b"%x\r\n" % len(data), data, b"\r\n"])
        else:
            self.client.write(data)
        self._count(data)

    def _count(self, data: bytes) -> None:
        self.carried += len(data)
        if not self._events or not _only_comments(data):
            self.moved()


def _only_comments(events: bytes) -> bool:
    """Whether a piece of an event stream holds nothing but comments and blank lines: a keep-alive."""
    return all(not line or line[:1] == b":" for line in events.splitlines())
