"""aiohttp's server, for whatever the fast lane does not take: made for a connection when it is first needed.

It owns parsing, the gateway's own pages, and every odd request. It gets one framed request at a time from the gate
in `front`, and tells it when that is answered.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway.proxy.relayed import Relayed

if TYPE_CHECKING:
    from gateway.proxy.front import FrontConnection


class CoreConnection(web.RequestHandler):
    """aiohttp's protocol for one client connection, which stays the gate's."""

    __slots__ = ("front",)

    def __init__(self, manager: web.Server, front: "FrontConnection", **options: Any) -> None:
        super().__init__(manager, **options)
        self.front = front

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        answered = await super().finish_response(request, resp, start_time)
        self.front.answered_by_core(keep_alive=answered[0].keep_alive is True)
        return answered

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        # Somebody's broken request is no error of ours to log, and its bytes are nothing to echo.
        if "Too many headers" in (message or ""):
            self.front.refuse(431, "there are too many header fields")
        else:
            self.front.refuse(400, "this is no valid HTTP request")
        return Relayed(status=status)
