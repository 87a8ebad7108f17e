"""All client connections of one listener, and what ends them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from gateway.proxy.core import CoreConnection
from gateway.proxy.front import FrontConnection
from gateway.proxy.limits import ProxyLimits

if TYPE_CHECKING:
    from gateway.proxy.lane import Lane

_LOOKS: Final = 8
"""In the time an idle connection is kept: one timer for all instead of one each."""
_NEVER_S: Final = 1e8
_HURRY_S: Final = 0.1
"""For handlers to end once they are cancelled."""


class Front(web.Server):
    """A protocol factory for `loop.create_server`; see aiohttp's low-level server.

    What `lane` does not take goes to `handler`. A handler is cancelled when its client leaves, unless
    `handler_cancellation=False` is given. Further options are those of `web.RequestHandler`.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        limits: ProxyLimits | None = None,
        *,
        lane: "Lane | None" = None,
        handler_cancellation: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(handler, handler_cancellation=handler_cancellation)
        self.limits = limits or ProxyLimits()
        self.lane = lane
        self._open: set[FrontConnection] = set()
        self._looker: asyncio.TimerHandle | None = None
        self._all_closed: asyncio.Event | None = None
        # One byte line, field and number limits apply, ours, at the gate; and ours is the idle time.
        self._options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": _NEVER_S,
            "max_line_size": self.limits.max_head_bytes,
            "max_field_size": self.limits.max_head_bytes,
            "max_headers": self.limits.max_fields + 1,
            "read_bufsize": self.limits.read_buffer,
            **options,
        }

    def __call__(self) -> FrontConnection:  # type: ignore[override]  # the gate, before aiohttp's own
        return FrontConnection(self)

    def core_for(self, front: FrontConnection) -> CoreConnection:
        """aiohttp's protocol for a connection that needs it."""
        return CoreConnection(self, front, loop=asyncio.get_running_loop(), **self._options)

    def opened(self, connection: FrontConnection) -> None:
        """A client connected."""
        self._open.add(connection)
        if self._looker is None:
            self._looker = asyncio.get_running_loop().call_later(self.limits.keepalive_s / _LOOKS, self._look)

    def closed(self, connection: FrontConnection) -> None:
        """A client is gone."""
        self._open.discard(connection)
        if not self._open and self._all_closed is not None:
            self._all_closed.set()

    def pre_shutdown(self) -> None:
        """Close what is idle, and let the rest end with its answer."""
        for connection in list(self._open):
            connection.leave()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Wait for requests in progress, at most `timeout` seconds, then end every connection."""
        if self._looker is not None:
            self._looker.cancel()
            self._looker = None
        for connection in list(self._open):
            connection.leave()
        if self._open:
            self._all_closed = asyncio.Event()
            try:
                async with asyncio.timeout(timeout):
                    await self._all_closed.wait()
            except TimeoutError:
                pass
        await super().shutdown(_HURRY_S)
        for connection in list(self._open):
            if connection.transport is not None:
                connection.transport.abort()

    def _look(self) -> None:
        self._looker = None
        for connection in list(self._open):
            connection.quiet = connection.quiet + 1 if connection.idle else 0
            if connection.quiet > _LOOKS and connection.transport is not None:
                connection.transport.close()
        if self._open:
            self._looker = asyncio.get_running_loop().call_later(self.limits.keepalive_s / _LOOKS, self._look)
