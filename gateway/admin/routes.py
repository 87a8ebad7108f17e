"""The admin application: every operation under `/v1` with its description, `/healthz` and `/metrics`.

Who may do what is in `gateway.admin.rules`.
"""

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final, Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel

from gateway.admin.ask import REFUSAL, Refused
from gateway.admin.contract import BODY_MOST, Ask, Call, Operation, Operations
from gateway.admin.guard import CALLER, Doorkeeper
from gateway.admin.instances import MOVED
from gateway.admin.keys import Once
from gateway.admin.openapi import NOWHERE, document
from gateway.errors import Answer, answer_for, problem
from gateway.observe import Metrics
from provisioner.errors import CloudError, Moved, ProvisionerError

log = structlog.get_logger(__name__)

OPENAPI: Final = "/v1/openapi.json"


class Desk(Protocol):
    """Handlers of one subject."""

    def operations(self) -> Operations: ...


class Drawn(Protocol):
    """Pages for people, beside the API."""

    def routes(self) -> Sequence[web.RouteDef]: ...

    @property
    def as_pages(self) -> Middleware:
        """Turns a refusal into a page for whoever navigates."""


class AdminApi:
    """Every desk behind one door."""

    def __init__(self, *desks: Desk, door: Doorkeeper, once: Once, metrics: Metrics, pages: Drawn) -> None:
        self._door, self._once, self._metrics, self._pages = door, once, metrics, pages
        own = Operation(
            method="GET",
            path=OPENAPI,
            name="describe",
            summary="This description.",
            run=self._describe,
            ask=Ask,
            gives=Description,
        )
        self.operations: Operations = (own, *(o for desk in desks for o in desk.operations()))

    @cached_property
    def document(self) -> dict[str, Any]:
        """The API in its own words. Made for whoever asks first: few do, and no start should wait for it."""
        return document(self.operations, version=version("my-jarvis"))

    def application(self) -> web.Application:
        """The admin listener's application."""
        middlewares = [self._pages.as_pages, failures, self._door.middleware()]
        app = web.Application(middlewares=middlewares, client_max_size=BODY_MOST)
        app.add_routes(self._pages.routes())
        app.add_routes([web.get("/healthz", self._healthz), web.get("/metrics", self._count)])
        app.add_routes([web.route(each.method, each.route, self._handler(each)) for each in self.operations])
        return app

    def _handler(self, operation: Operation[Any, Any]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            call = await operation.read(request)
            if not operation.mutates:
                result = await operation.run(call)
                return result if isinstance(result, web.StreamResponse) else _answer(operation, result)

            async def change() -> web.Response:
                return _answer(operation, await operation.run(call))

            return await self._once.run(request, request[CALLER], change)

        return handle

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _count(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _describe(self, _: Call[Ask, None]) -> web.StreamResponse:
        return web.json_response(self.document)


class Description(BaseModel, extra="allow"):
    """An OpenAPI 3.1 document."""

    openapi: str


def _answer(operation: Operation[Any, Any], result: Any) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if result is None:
        return web.Response(status=operation.status, headers=headers)
    body = result.model_dump_json().encode()
    return web.Response(body=body, status=operation.status, headers=headers, content_type=operation.media)


@web.middleware
async def failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure as a problem; to the operator, Fly's own words are said too (they carry no credential)."""
    try:
        return await handler(request)
    except Exception as fault:
        answer = request[REFUSAL] = _refusal(request, fault)
        told = problem(answer)
        if isinstance(fault, web.HTTPException) and "Allow" in fault.headers:
            told.headers["Allow"] = fault.headers["Allow"]
        return told


def _refusal(request: web.Request, fault: Exception) -> Answer:
    match fault:
        case Refused():
            return fault.answer
        case web.HTTPException():
            return Answer(fault.status, fault.reason, NOWHERE.words)
        case Moved():
            return Answer(409, MOVED.title, str(fault), 1)
        case CloudError():
            return Answer(502, f"Fly: {type(fault).__name__}", str(fault))
        case ProvisionerError():
            return answer_for(fault)
        case _:
            log.error("admin_broke", path=request.path[:200], exc_info=fault)
            return answer_for(fault)
