"""A WebSocket after its 101: bytes go through untouched; we only count where frames begin."""

import asyncio
from typing import Final, Protocol

from golden.guard.relay.body import Buffer
from golden.guard.relay.upstream import Upstream

_GOING_AWAY: Final = b"\x88\x02\x03\xe9"  # RFC 6455 §7.4.1: 1001, the server is going down
_GOING_AWAY_MASKED: Final = b"\x88\x82\x00\x00\x00\x00\x03\xe9"  # to a server everything is masked


class FrameWalker:
    """Follows one direction of a WebSocket from frame to frame without looking into them."""

    __slots__ = ("_head", "_is_data", "_skip", "closed")

    def __init__(self) -> None:
        self._head, self._skip, self._is_data = b"", 0, False
        self.closed = False
        """A close frame has begun."""

    @property
    def between_frames(self) -> bool:
        """A frame of our own could go here."""
        return not self._skip and not self._head

    def feed(self, data: bytes) -> bool:
        """Whether `data` holds any part of a data frame; pings, pongs and closes are none."""
        at, end = min(self._skip, len(data)), len(data)
        moved = bool(at) and self._is_data
        self._skip -= at
        while at < end:
            known = len(self._head)
            head = self._head + data[at : at + 14 - known]
            size = _head_size(head)
            if len(head) < size:
                self._head = head
                return moved
            at += size - known
            self._head = b""
            self._is_data = not head[0] & 0x08
            self.closed |= head[0] & 0x0F == 0x08
            moved |= self._is_data
            length = _payload_size(head)
            here = min(length, end - at)
            self._skip = length - here
            at += here
        return moved


def _head_size(head: bytes) -> int:
    if len(head) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(head[1] & 0x7F, 0) + (4 if head[1] & 0x80 else 0)


def _payload_size(head: bytes) -> int:
    short = head[1] & 0x7F
    if short < 126:
        return short
    return int.from_bytes(head[2:4] if short == 126 else head[2:10], "big")


class Side(Protocol):
    """What a tunnel needs of the client's connection."""

    def write(self, pieces: list[Buffer]) -> None: ...

    def read(self, on: bool) -> None: ...

    def over(self, *, keep_alive: bool, request_done: bool) -> None: ...

    def close(self) -> None: ...


class Tunnel:
    """Two connections joined. When one side ends, the other gets what is under way and ends too."""

    __slots__ = ("_client", "_down", "_leaving", "_up", "_upstream", "moved_at")

    waiting = False

    def __init__(self, client: Side, upstream: Upstream) -> None:
        self._client, self._upstream = client, upstream
        self._up, self._down = FrameWalker(), FrameWalker()
        self._leaving = False
        self.moved_at = asyncio.get_running_loop().time()
        """When a data frame last went either way, on the loop's clock. Pings do not count."""

    def from_client(self, data: bytes) -> int:
        """Carry `data` up, all of it."""
        if self._up.feed(data):
            self.moved_at = asyncio.get_running_loop().time()
        self._upstream.write([data])
        return len(data)

    def from_upstream(self, data: bytes) -> None:
        if self._down.feed(data):
            self.moved_at = asyncio.get_running_loop().time()
        self._client.write([data])
        if self._leaving:
            self.go_away()

    def client_full(self, full: bool) -> None:
        self._upstream.read(not full)

    def upstream_full(self, full: bool) -> None:
        self._client.read(not full)

    def client_gone(self) -> None:
        self._upstream.finish()

    def upstream_ended(self, *, clean: bool) -> None:
        self._client.close()

    def go_away(self) -> None:
        """Close with 1001 on both sides, as soon as the frame that is under way has ended."""
        self._leaving = True
        if not self._down.between_frames:
            return
        if not self._down.closed:
            self._client.write([_GOING_AWAY])
        if self._up.between_frames and not self._up.closed:
            self._upstream.write([_GOING_AWAY_MASKED])
        self._upstream.finish()
        self._client.over(keep_alive=False, request_done=False)  # waits a little for the other close frame
