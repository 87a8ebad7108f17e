"""The listening socket: known before anything is served, and able to be deaf for a while."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from aiohttp import web

from localcloud.fly.clock import Clock
from localcloud.fly.errands import Errands


class Listener:
    """127.0.0.1:`port`, bound on entering the context. Port 0 becomes a free one and then stays the same."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None

    async def __aenter__(self) -> Self:
        self._socket = self._bound()
        self.port = int(self._socket.getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    @asynccontextmanager
    async def serving(self, server: web.Application) -> AsyncIterator[None]:
        """Answer calls while inside. Handlers run to their end even if the caller hangs up, as in production."""
        # a wait may last a minute: whoever closes the stand-in does not want to see its end
        self._runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._open()
        try:
            yield
        finally:
            await self._runner.cleanup()

    def close_for(self, seconds: float, clock: Clock, errands: Errands) -> None:
        """Refuse new connections for a while; those that exist go on."""
        if seconds > 0:
            errands.begin(self._deaf(seconds, clock))

    async def _deaf(self, seconds: float, clock: Clock) -> None:
        if self._site is not None:
            await self._site.stop()
            self._site = self._socket = None
            await clock.sleep(seconds)
            await self._open()

    async def _open(self) -> None:
        if self._runner is None:
            return
        self._socket = self._socket or self._bound()
        self._site = web.SockSite(self._runner, self._socket)
        await self._site.start()

    def _bound(self) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.port))
        return bound
