"""Connections to the App and its neighbours, for which a request waits until they accept it."""

import asyncio
from typing import Final

from gateway.proxy.errors import UpstreamError, UpstreamRefused, UpstreamUnreachable
from gateway.proxy.upstream import Pool, Upstream
from golden.guard.app_process import AppProcess
from provisioner.instance import Endpoint

HOLD_S: Final = 30.0
"""How long a request waits for the App to accept connections."""
_RETRY_FIRST_S: Final = 0.01
_RETRY_LONGEST_S: Final = 0.1


class Link:
    """A way to one local port: the App's, which changes when it is restarted, or another's, which does not."""

    __slots__ = ("_app", "_endpoint", "_fixed_port", "_pool")

    def __init__(self, app: AppProcess, pool: Pool, fixed_port: int = 0) -> None:
        """`fixed_port`: 0 means the App's."""
        self._app, self._pool, self._fixed_port = app, pool, fixed_port
        self._endpoint = Endpoint("127.0.0.1", fixed_port or app.port)

    @property
    def endpoint(self) -> Endpoint:
        """Where it leads at present."""
        port = self._fixed_port or self._app.port
        if port != self._endpoint.port:
            self._pool.drop(self._endpoint)
            self._endpoint = Endpoint("127.0.0.1", port)
        return self._endpoint

    async def connect(self) -> Upstream:
        """A new connection, as soon as there is one to be had. Cancellable.

        Raises:
            UpstreamRefused: the App ends as soon as it is started, so that waiting is no use.
            UpstreamUnreachable: nothing answers, and HOLD_S have passed.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + HOLD_S, _RETRY_FIRST_S
        while True:
            if self._app.failed:
                raise UpstreamRefused(f"it ends as soon as it is started (exit code {self._app.exit_code})")
            try:
                upstream = await self._pool.connect(self.endpoint)
            except UpstreamError as error:
                if loop.time() > deadline:
                    raise UpstreamUnreachable(f"it accepted no connection within {HOLD_S:.0f} seconds") from error
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _RETRY_LONGEST_S)
            else:
                if upstream.slot.endpoint.port == self._app.port:
                    self._app.answered()
                return upstream
