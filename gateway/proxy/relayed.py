"""What a handler returns when the answer is already on the wire."""

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from gateway.proxy.errors import UpstreamError


class Relayed(web.StreamResponse):
    """Tells aiohttp that nothing is left to send, and whether the client's connection lives on."""

    def __init__(
        self, *, status: int = 499, carried: int = 0, broken: UpstreamError | None = None, keep_alive: bool = False
    ) -> None:
        super().__init__(status=status or 499, reason="")
        self.carried = carried
        """Bytes of the answer's body."""
        self.broken = broken
        """Why the answer was cut short, if it was."""
        self._lives = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._lives

    @property
    def prepared(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None
