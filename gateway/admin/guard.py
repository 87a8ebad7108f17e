"""Who may use the admin listener: holders of the admin token, compared in constant time."""

import hmac
from hashlib import sha256
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.errors import Answer, problem

log = structlog.get_logger(__name__)

UNAUTHORIZED: Final = Answer(401, "Not authorised", "Send the admin token as `Authorization: Bearer …`.")


def guard(token: str, *, open_paths: frozenset[str]) -> Middleware:
    """Middleware that lets nobody past without `token`, but for the paths in `open_paths`."""
    expected = sha256(token.encode()).digest()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in open_paths:
            return await handler(request)
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        digest = sha256(shown.strip().encode("utf-8", "surrogateescape")).digest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(digest, expected):
            log.warning("admin_refused", path=request.path[:200], peer=request.remote)
            return problem(UNAUTHORIZED)
        return await handler(request)

    return check
