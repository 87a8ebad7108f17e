"""A WebSocket in progress: bytes both ways, untouched, until one side ends."""

import asyncio
from collections.abc import Callable

from gateway.proxy.frames import Frames, close_frame


class Splice:
    """Moves bytes between the two transports. Flow control and the end of either are its owner's to handle."""

    __slots__ = ("_asked", "_client", "_code", "_moved", "_said", "_told", "_upstream", "reads", "unanswered")

    def __init__(self, client: asyncio.Transport, upstream: asyncio.Transport, moved: Callable[[], None]) -> None:
        """`moved` is called for every read that held bytes of a data frame."""
        self._client, self._upstream, self._moved = client, upstream, moved
        self._asked, self._said = Frames(), Frames()  # what the client and what the Machine sends
        self._code = 0
        self._told = False
        self.reads = 0
        """Reads of either side, pings included."""
        self.unanswered = False
        """The client sent data, and the Machine nothing at all since."""

    def from_client(self, data: bytes) -> None:
        self.reads += 1
        if self._asked.feed(data):
            self.unanswered = True
            self._moved()
        if not self._told:
            self._upstream.write(data)
        elif self._asked.closed:
            self._client.close()

    def from_upstream(self, data: bytes) -> None:
        self.reads += 1
        self.unanswered = False
        if not self._code:
            self._client.write(data)
            if self._said.feed(data):
                self._moved()
        elif not self._told:
            end = self._said.finish(data)
            self._client.write(data[:end])
            if self._said.at_boundary:
                self._tell()

    def close(self, code: int) -> None:
        """Say goodbye to both sides: at once, or where the Machine's current frame ends.

        A client that closed by itself is only let go. The client's transport closes when it has answered.
        """
        if self._code:
            return
        self._code = code
        if self._asked.closed or self._said.closed:
            self._told = True
            self._client.close()
            self._upstream.close()
        elif self._said.at_boundary:
            self._tell()

    def _tell(self) -> None:
        self._told = True
        self._client.write(close_frame(self._code, masked=False))
        if self._asked.at_boundary:
            self._upstream.write(close_frame(self._code, masked=True))
        self._upstream.close()

    @property
    def leaving(self) -> bool:
        """The client was told to go: the end of the Machine's side is no reason to hurry it."""
        return self._told
