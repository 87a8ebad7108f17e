"""Connections to one upstream, and the few idle ones kept for the next request."""

import asyncio
from typing import Final, Protocol, cast

from golden.guard.relay.body import Buffer
from golden.guard.relay.errors import Unreachable

WRITE_HIGH: Final = 256 * 1024
"""Bytes that may wait to be sent before the other side is no longer read."""

_REPLAYABLE_IDLE_S: Final = 30.0
# Frameworks drop idle connections after 2 s and more. What must not be sent twice takes only a
# connection that was in use a moment ago; a fresh one over loopback costs less than a lost POST.
_ONCE_ONLY_IDLE_S: Final = 1.0
_FLUSH_S: Final = 10.0


class Owner(Protocol):
    """Whoever a connection is working for: an exchange, or a tunnel after the 101."""

    def from_upstream(self, data: bytes) -> None:
        """Bytes came."""

    def upstream_ended(self, *, clean: bool) -> None:
        """No more will come: by a FIN (`clean`) or by a failure."""

    def upstream_full(self, full: bool) -> None:
        """It takes no more bytes for now; or takes them again."""


class Link(Protocol):
    """Where connections to one upstream come from."""

    def idle(self, *, replayable: bool) -> "Upstream | None":
        """A connection that is already open, if there is one to be trusted with this request."""

    async def open(self) -> "Upstream":
        """A fresh connection, waiting for the upstream if need be.

        Raises:
            Unreachable: there is none to be had; carries the answer to give.
        """


class Upstream(asyncio.Protocol):
    """One connection to the upstream. Idle while it has no owner; then not a byte may come."""

    __slots__ = ("_pool", "idle_since", "owner", "reused", "transport")

    transport: asyncio.Transport

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self.owner: Owner | None = None
        self.reused = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(WRITE_HIGH)

    def write(self, pieces: list[Buffer]) -> None:
        """Send `pieces` in order."""
        if len(pieces) == 1:
            self.transport.write(pieces[0])
        elif pieces:
            self.transport.writelines(pieces)

    def read(self, on: bool) -> None:
        """Go on reading, or stop so that the kernel holds the sender back."""
        if self.transport.is_closing():
            return
        if on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def release(self) -> None:
        """The answer is complete and nothing is left over: keep the connection for the next request."""
        self.owner = None
        self._pool.keep(self)

    def drop(self) -> None:
        """Nobody needs this connection or what is still under way on it."""
        self.owner = None
        self._pool.forget(self)
        self.transport.abort()

    def finish(self) -> None:
        """Send what is under way, then close. An upstream that does not take it is cut off after a while."""
        self.owner = None
        self.transport.close()
        asyncio.get_running_loop().call_later(_FLUSH_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        if self.owner is None:
            self.drop()  # an answer to no request: forwarded, it would reach somebody else
        else:
            self.owner.from_upstream(data)

    def eof_received(self) -> None:
        self._ended(clean=True)
        self.transport.abort()  # else it stays until the upstream has taken what it no longer reads

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(clean=exc is None)

    def pause_writing(self) -> None:
        if self.owner is not None:
            self.owner.upstream_full(True)

    def resume_writing(self) -> None:
        if self.owner is not None:
            self.owner.upstream_full(False)

    def _ended(self, *, clean: bool) -> None:
        self._pool.forget(self)
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.upstream_ended(clean=clean)


class Pool:
    """A Link to one address that tries once.

    Keeps up to `keep_idle` connections for later requests: fewer cost a connect each when a browser asks
    for many things at once (measured: 45 % more CPU a request), more tie up servers with a thread for each.
    """

    def __init__(self, host: str, port: int, *, keep_idle: int = 32) -> None:
        self.host, self.port = host, port
        self._keep_idle = keep_idle
        self._idle: list[Upstream] = []  # the one used last is at the end

    def idle(self, *, replayable: bool) -> Upstream | None:
        now = asyncio.get_running_loop().time()
        limit = _REPLAYABLE_IDLE_S if replayable else _ONCE_ONLY_IDLE_S
        while self._idle:
            if now - self._idle[-1].idle_since > limit:
                if limit == _REPLAYABLE_IDLE_S:
                    self.clear()
                return None
            upstream = self._idle.pop()
            if not upstream.transport.is_closing():
                upstream.reused = True
                return upstream
        return None

    async def open(self) -> Upstream:
        loop = asyncio.get_running_loop()
        try:
            _, upstream = await loop.create_connection(lambda: Upstream(self), self.host, self.port)
        except OSError as error:
            raise Unreachable(502, "The application does not accept connections.") from error
        return upstream

    def keep(self, upstream: Upstream) -> None:
        """Take `upstream` back."""
        if upstream.transport.is_closing():
            return
        upstream.idle_since = asyncio.get_running_loop().time()
        self._idle.append(upstream)
        if len(self._idle) > self._keep_idle:
            self._idle[0].drop()

    def forget(self, upstream: Upstream) -> None:
        """`upstream` is gone or no longer to be trusted."""
        if upstream in self._idle:
            self._idle.remove(upstream)

    def clear(self) -> None:
        """Close every idle connection: the upstream was restarted, or we are about to be."""
        for upstream in tuple(self._idle):
            upstream.drop()
