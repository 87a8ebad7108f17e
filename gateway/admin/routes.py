"""The admin application: every operation under `/v1` with its description, `/healthz` and `/metrics`.

Who may do what is in `gateway.admin.rules`.
"""

from importlib.metadata import version
from typing import Any, Final, Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from gateway.admin.ask import Refused
from gateway.admin.contract import BODY_MOST, Ask, Call, Operation, Operations
from gateway.admin.guard import CALLER, Doorkeeper
from gateway.admin.instances import MOVED
from gateway.admin.keys import Once
from gateway.admin.openapi import document
from gateway.errors import Answer, answer_for, problem
from gateway.observe import Metrics
from provisioner.errors import CloudError, Moved, ProvisionerError

log = structlog.get_logger(__name__)

OPENAPI: Final = "/v1/openapi.json"


class Desk(Protocol):
    """Handlers of one subject."""

    def operations(self) -> Operations: ...


class AdminApi:
    """Every desk behind one door."""

    def __init__(self, *desks: Desk, door: Doorkeeper, once: Once, metrics: Metrics) -> None:
        self._door, self._once, self._metrics = door, once, metrics
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
        self.document = document(self.operations, version=version("my-jarvis"))

    def application(self) -> web.Application:
        """The admin listener's application."""
        app = web.Application(middlewares=[failures, self._door.middleware()], client_max_size=BODY_MOST)
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
    except Refused as refused:
        return problem(refused.answer)
    except web.HTTPException as refused:
        told = problem(Answer(refused.status, refused.reason, "There is nothing here for this method and path."))
        if "Allow" in refused.headers:
            told.headers["Allow"] = refused.headers["Allow"]
        return told
    except Moved as moved:
        return problem(Answer(409, MOVED.title, str(moved), 1))
    except CloudError as fault:
        return problem(Answer(502, f"Fly: {type(fault).__name__}", str(fault)))
    except ProvisionerError as fault:
        return problem(answer_for(fault))
    except Exception as fault:
        log.exception("admin_broke", path=request.path[:200])
        return problem(answer_for(fault))
