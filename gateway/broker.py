"""The broker listener: where Machines will reach LLM providers with the company's key.

Not built yet. The listener answers, so that a Machine that is pointed here hears why instead of timing out.
"""

from typing import Final

from aiohttp import web

from gateway.errors import Answer, problem

NOT_YET: Final = Answer(503, "No LLM broker", "This gateway does not relay LLM calls yet. Configure a key in the App.")


def broker_application() -> web.Application:
    """An application that says so to every request but `/healthz`."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def not_yet(_: web.Request) -> web.Response:
        return problem(NOT_YET)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_route("*", "/{path:.*}", not_yet)
    return app
