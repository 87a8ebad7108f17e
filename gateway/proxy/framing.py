"""Where a message ends: strict, incremental and free of any I/O.

Bytes go through unchanged where they can: a chunked body is walked, not decoded, and what is not needed to
find the end is never copied. Trailers are swallowed knowingly: after aiohttp's parser they would turn up in
the next request of the connection, and no App may rely on them through an HTTP/1.1 proxy anyway.
"""

import re
from typing import Final

CHUNKED: Final = -1
"""A body length that says: chunked."""

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")
_MAX_LINE: Final = 4096
_MAX_TRAILERS: Final = 65_536


class Malformed(Exception):
    """Bytes that are no valid HTTP. `status` is what a client who sent them should read."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why, self.status = why, status


class Chunks:
    """Walks one chunked body. `feed` says which bytes belong to it, and may collect the payload."""

    __slots__ = ("_after", "_held", "_left", "_trailing", "at_boundary", "done", "payload", "size")

    def __init__(self, payload: list[bytes] | None = None) -> None:
        self.done = False
        self.payload = payload
        """Gets the pieces of data between the framing, if given."""
        self.size = 0
        """Bytes of data that chunks have announced so far."""
        self.at_boundary = True
        """Between two chunks, with nothing kept back: a chunk could be written here."""
        self._held = b""  # an unfinished line of framing, kept back until it is known to be right
        self._left = 0  # of the current chunk's data
        self._after = False  # the CRLF behind a chunk's data is due
        self._trailing = 0  # bytes of the trailer section so far, 0 before it

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The bytes to pass on, framing included and trailers left out, and those behind the body.

        Raises Malformed for anything but exact RFC 9112 framing. A whole chunk at a boundary need not be fed.
        """
        walked = self._walk(data)
        self.at_boundary = not (self._left or self._after or self._held or self._trailing)
        return walked

    def _walk(self, data: bytes) -> tuple[bytes, bytes]:
        if self._held:
            data, self._held = self._held + data, b""
        pos, size, cut = 0, len(data), -1
        while True:
            if self._left:
                take = min(self._left, size - pos)
                if self.payload is not None and take:
                    self.payload.append(data[pos : pos + take])
                self._left -= take
                pos += take
                if self._left:
                    return data, b""
                self._after = True
            end = data.find(b"\r\n", pos, pos + _MAX_LINE)
            if end < 0:
                return self._hold(data, pos, cut), b""
            if self._after:
                if end != pos:
                    raise Malformed("a chunk is longer than its size")
                self._after = False
            elif self._trailing:
                self._trailing += end - pos + 2
                if self._trailing > _MAX_TRAILERS:
                    raise Malformed("trailers too large", 431)
                if end == pos:
                    self.done = True
                    rest = data[end + 2 :]
                    if cut == pos:  # no trailers, and the last chunk in this very read: nothing to cut out
                        return (data[: end + 2] if rest else data), rest
                    return (data[:cut] if cut > 0 else b"") + b"\r\n", rest
                if _TRAILER.fullmatch(data, pos, end) is None:
                    raise Malformed("bad trailer")
            else:
                line = data[pos:end]
                self._left = self._size(line)
                self.size += self._left
                if b";" in line:  # an extension is for the next hop only (RFC 9112 §7.1.1), and nobody's here
                    bare = line.partition(b";")[0]
                    data = data[:pos] + bare + data[end:]
                    end, size = pos + len(bare), len(data)
                if not self._left:
                    self._trailing = 1
                    cut = end + 2
            pos = end + 2

    def _hold(self, data: bytes, pos: int, cut: int) -> bytes:
        """Keep an unfinished line for later; what stands before it may go on."""
        line = data[pos:]
        if b"\n" in line or len(line) >= _MAX_LINE or (self._after and line not in (b"", b"\r")):
            raise Malformed("bad chunk framing")
        self._held = line
        if self._trailing:
            return data[:cut] if cut > 0 else b""
        return data[:pos] if line else data

    @staticmethod
    def _size(line: bytes) -> int:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise Malformed("bad chunk size")
        return int(match[1], 16)
