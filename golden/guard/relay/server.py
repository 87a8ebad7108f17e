"""The listening socket and everybody who came through it."""

import asyncio
import socket
from collections.abc import Iterator

from golden.guard.relay.answer import Handler
from golden.guard.relay.downstream import Downstream
from golden.guard.relay.exchange import Exchange
from golden.guard.relay.tunnel import Tunnel

BACKLOG = 1024


class Server:
    """Accepts connections and lets `handler` decide about each request."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._nobody_left: asyncio.Event | None = None
        self.draining = False
        self.connections: set[Downstream] = set()

    async def listen(self, listener: socket.socket) -> None:
        """Accept on `listener`, which is ours from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Downstream(self, self._handler), sock=listener, backlog=BACKLOG)

    def streams(self) -> Iterator[Exchange | Tunnel]:
        """Everything that is being relayed."""
        return (connection.stream for connection in self.connections if connection.stream is not None)

    def leave(self) -> None:
        """Accept nobody new, end the idle, close WebSockets with 1001. Exchanges may still end well."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.leave()

    async def gone(self, *, within_s: float) -> None:
        """Return when the last connection has ended; cut off those that have not `within_s` seconds."""
        for connection in self.connections:
            connection.abort_in(within_s)
        if self.connections:
            self._nobody_left = asyncio.Event()
            await self._nobody_left.wait()

    def forget(self, connection: Downstream) -> None:
        """`connection` is closed."""
        self.connections.discard(connection)
        if self._nobody_left is not None and not self.connections:
            self._nobody_left.set()
