"""Finds where a body ends, and frames it anew, without copying its bytes.

A reader is fed what arrives and hands out the payload as slices of it. Chunk extensions and trailers
end here: nothing we carry needs them, and both have been used to slip a request past a proxy.
"""

import re
from enum import Enum, auto
from typing import Final, Protocol

from golden.guard.relay.errors import Malformed
from golden.guard.relay.head import AnswerHead, Framing, RequestHead

Buffer = bytes | memoryview

LAST_CHUNK: Final = b"0\r\n\r\n"
_LINE_LIMIT: Final = 4096
_TRAILER_LIMIT: Final = 16 * 1024
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")


class BodyReader(Protocol):
    """Knows where one body ends."""

    @property
    def done(self) -> bool:
        """The body has ended."""

    def feed(self, data: bytes, into: list[Buffer]) -> int:
        """Append the payload in `data` to `into`; how many bytes of `data` belong to this body.

        Raises:
            Malformed: the framing is broken. What was appended before may be sent on.
        """


class LengthBody:
    """A body of exactly so many bytes; none at all for 0."""

    __slots__ = ("_left", "done")

    def __init__(self, length: int) -> None:
        self._left, self.done = length, not length

    def feed(self, data: bytes, into: list[Buffer]) -> int:
        size = len(data)
        if size <= self._left:
            into.append(data)
        else:
            size = self._left
            if size:
                into.append(memoryview(data)[:size])
        self._left -= size
        self.done = not self._left
        return size


class UntilClose:
    """A body that ends with its connection. Only answers may do that."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes, into: list[Buffer]) -> int:
        into.append(data)
        return len(data)


class _At(Enum):
    SIZE = auto()
    PAYLOAD = auto()
    PAYLOAD_END = auto()
    TRAILER = auto()


class ChunkedBody:
    """A body in chunks (RFC 9112 §7.1), read strictly: every line ends with CRLF, no size is guessed."""

    __slots__ = ("_at", "_left", "_line", "_trailer", "done")

    def __init__(self) -> None:
        self.done = False
        self._at, self._left, self._line, self._trailer = _At.SIZE, 0, b"", 0

    def feed(self, data: bytes, into: list[Buffer]) -> int:
        view, at, end = memoryview(data), 0, len(data)
        while at < end and not self.done:
            if self._at is _At.PAYLOAD:
                size = min(self._left, end - at)
                into.append(view[at : at + size])
                at += size
                self._left -= size
                if not self._left:
                    self._at = _At.PAYLOAD_END
                continue
            newline = data.find(b"\n", at)
            if newline < 0:
                self._line += data[at:]
                if len(self._line) > (1 if self._at is _At.PAYLOAD_END else _LINE_LIMIT):
                    raise Malformed("A chunk is not framed as announced.")
                return end
            line, self._line = self._line + data[at : newline + 1], b""
            at = newline + 1
            self._take(line)
        return at

    def _take(self, line: bytes) -> None:
        if self._at is _At.SIZE:
            size = _SIZE.fullmatch(line)
            if size is None or len(line) > _LINE_LIMIT:
                raise Malformed("A chunk size is malformed.")
            self._left = int(size[1], 16)
            self._at = _At.PAYLOAD if self._left else _At.TRAILER
        elif self._at is _At.PAYLOAD_END:
            if line != b"\r\n":
                raise Malformed("A chunk is longer than announced.")
            self._at = _At.SIZE
        elif line == b"\r\n":
            self.done = True
        else:
            self._trailer += len(line)
            if self._trailer > _TRAILER_LIMIT or not _TRAILER.fullmatch(line):
                raise Malformed("A trailer is malformed.")


def reader_for(head: RequestHead | AnswerHead) -> BodyReader:
    """A reader for the body that follows `head`."""
    if head.framing is Framing.CHUNKED:
        return ChunkedBody()
    if head.framing is Framing.CLOSE:
        return UntilClose()
    return LengthBody(head.length if head.framing is Framing.LENGTH else 0)


def chunk(pieces: list[Buffer]) -> list[Buffer]:
    """`pieces` as one chunk; nothing for nothing, since an empty chunk would end the body."""
    size = sum(map(len, pieces))
    return [b"%x\r\n" % size, *pieces, b"\r\n"] if size else []
