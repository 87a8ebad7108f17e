"""A walk over WebSocket frame headers (RFC 6455 §5.2), for one direction, looking at nothing else.

It tells bytes of data frames from pings, pongs and closes, and knows where a frame of ours could be put in.
Payloads are neither unmasked nor checked: that is between the two ends.
"""

from typing import Final

_CONTROL: Final = 0x08
_CLOSE: Final = 0x08


class Frames:
    """Feed it what passes; it remembers where in a frame that ended."""

    __slots__ = ("_control", "_head", "_left", "closed")

    def __init__(self) -> None:
        self.closed = False
        """A close frame began."""
        self._head = b""  # an unfinished frame header
        self._left = 0  # payload bytes of the current frame still to come
        self._control = False

    @property
    def at_boundary(self) -> bool:
        """Between two frames."""
        return not (self._left or self._head)

    def feed(self, data: bytes) -> bool:
        """Whether any of `data` belongs to a data frame."""
        if not self._left and not self._head and len(data) >= 2:
            # One whole small frame a read is by far the most common, so it has a way of its own.
            length = data[1]
            length = length - 124 if length > 127 else length  # masked: 4 bytes of key, and the top bit is no length
            if length + 2 == len(data) and data[1] & 0x7F < 126 and data[0] & 0x0F < _CONTROL:
                return True
        moved, pos, size = False, 0, len(data)
        while pos < size:
            pos = self._advance(data, pos)
            moved = moved or not self._control
        return moved

    def finish(self, data: bytes) -> int:
        """How many bytes of `data` complete the current frame; all of them if it goes on after."""
        return 0 if self.at_boundary else self._advance(data, 0)

    def _advance(self, data: bytes, pos: int) -> int:
        """Walk to the end of the current frame, or of the next one, or of `data`."""
        if not self._left:
            head = self._head + data[pos : pos + 14 - len(self._head)]
            need = _header_size(head)
            self._control = bool(head[0] & _CONTROL)
            if len(head) < need:
                self._head = head
                return len(data)
            pos += need - len(self._head)
            self._head = b""
            self._left = _payload_size(head)
            self.closed = self.closed or head[0] & 0x0F == _CLOSE
        take = min(self._left, len(data) - pos)
        self._left -= take
        return pos + take


def _header_size(head: bytes) -> int:
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    return 2 + (2 if length == 126 else 8 if length == 127 else 0) + (4 if head[1] & 0x80 else 0)


def _payload_size(head: bytes) -> int:
    length = head[1] & 0x7F
    if length == 126:
        return int.from_bytes(head[2:4], "big")
    if length == 127:
        return int.from_bytes(head[2:10], "big")
    return length


def close_frame(code: int, *, masked: bool) -> bytes:
    """A close frame with `code`. What goes to a server must be masked; a key of zeros is a legal one."""
    payload = code.to_bytes(2, "big")
    return b"\x88\x82\0\0\0\0" + payload if masked else b"\x88\x02" + payload
