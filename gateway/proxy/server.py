"""A front with aiohttp's server behind it, as core."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from gateway.proxy.core import CoreConnection
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.plain import Plain

if TYPE_CHECKING:
    from gateway.proxy.front import FrontConnection
    from gateway.proxy.lane import Lane

_NEVER_S: Final = 1e8
_HURRY_S: Final = 0.1
"""For handlers to end once they are cancelled."""


class Front(Plain):
    """A protocol factory for `loop.create_server`.

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
        super().__init__(limits or ProxyLimits(), lane)
        self._core = web.Server(handler, handler_cancellation=handler_cancellation)
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

    def core_for(self, connection: "FrontConnection") -> CoreConnection:
        """aiohttp's protocol for a connection that needs it."""
        return CoreConnection(self._core, connection, loop=asyncio.get_running_loop(), **self._options)

    async def end_core(self) -> None:
        await self._core.shutdown(_HURRY_S)
