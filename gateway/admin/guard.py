"""The way into the admin listener: who shows a token, may they do this, and it is written down before it is done."""

import hmac
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from cachetools import TTLCache

from gateway.admin.rules import METRICS, RULES, Rule
from gateway.admin.sessions import CSRF_FIELD, OperatorSessions, is_csrf, shown
from gateway.errors import Answer, problem
from gateway.request import Kind, kind_of
from provisioner.audit import Trail
from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.operators import TOKEN_PREFIX, Operator, Operators, Role, hash_of

log = structlog.get_logger(__name__)

UNAUTHORIZED: Final = Answer(401, "Not authorised", "Send your admin token as `Authorization: Bearer …`.")
FORBIDDEN: Final = Answer(403, "Not for your role", "Your token is good, but its role may not do this.")
BOOTSTRAP: Final = Operator(name="admin", role=Role.OWNER)
"""Who shows ADMIN_TOKEN: there from the first start on, and when the table of operators cannot be read."""
SAFE: Final = ("GET", "HEAD")
LOOKING_S: Final = 60.0
"""The same operator reading the same again within so many seconds is still the same look, and one row."""
CALLER: Final[web.RequestKey[Operator]] = web.RequestKey("operator", Operator)
STILL: Final[web.RequestKey[Callable[[], Awaitable[bool]]]] = web.RequestKey("still")
"""Whether what was shown still opens the door: for answers that go on for long."""

_NOWHERE: Final = Rule(Role.VIEWER, audited=False)


class Doorkeeper:
    """The middleware of the admin application. One for each listener."""

    def __init__(
        self,
        *,
        token: str,
        operators: Operators,
        sessions: OperatorSessions,
        trail: Trail,
        clock: Clock,
        open_metrics: bool = False,
    ) -> None:
        """`open_metrics` lets `/metrics` be read without a token, for scrapers that cannot send one."""
        self._bootstrap = hash_of(token)
        self._operators = operators
        self._sessions = sessions
        self._trail = trail
        self._open = frozenset({route for route, rule in RULES.items() if rule.least is None})
        self._open |= {METRICS} if open_metrics else set()
        self._looks: TTLCache[tuple[str, str], bool] = TTLCache(4096, LOOKING_S, timer=clock.monotonic)

    def middleware(self) -> Middleware:
        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            route = route_of(request)
            if route in self._open:
                return await handler(request)
            caller = await self.caller(request)
            if caller is None:
                log.warning("admin_refused", path=request.path[:200], peer=request.remote)
                return _to_the_door(request)
            # A path that leads nowhere tells only those who may look that it does.
            rule = _NOWHERE if request.match_info.http_exception is not None else RULES.get(route)
            if rule is None or rule.least is None or not caller.role.covers(rule.least):
                await self._write_down(request, route, caller, "admin_refused")
                return problem(FORBIDDEN)
            if rule.audited:
                await self._write_down(request, route, caller, "admin_read" if route[0] == "GET" else "admin_asked")
            request[CALLER] = caller
            still: Callable[[], Awaitable[bool]] = partial(self._still, request)
            request[STILL] = still
            return await handler(request)

        return check

    async def _still(self, request: web.Request) -> bool:
        return await self.caller(request) is not None

    async def caller(self, request: web.Request) -> Operator | None:
        """Who asks: by their token, or by the cookie of somebody who showed it at the dashboard's door.

        Another page in the same browser sends the cookie too: what changes anything has to come with more than that.
        """
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            return await self.bearer(token.strip()) if scheme.lower() == "bearer" else None
        cookie = shown(request.headers.getall("Cookie", []))
        if not cookie or (request.method not in SAFE and not is_csrf(cookie, request.headers.get(CSRF_FIELD, ""))):
            return None
        token_hash = await self._sessions.token_hash(cookie)
        return None if token_hash is None else await self._holder(token_hash)

    async def bearer(self, token: str) -> Operator | None:
        """Whose token this is."""
        if not token:
            return None
        token_hash = hash_of(token)
        known = token.startswith(TOKEN_PREFIX) or hmac.compare_digest(token_hash, self._bootstrap)
        return await self._holder(token_hash) if known else None

    async def _holder(self, token_hash: bytes) -> Operator | None:
        if hmac.compare_digest(token_hash, self._bootstrap):
            return BOOTSTRAP
        # The database compares hashes of what nobody can guess: how long that takes tells nothing about the token.
        return await self._operators.bearer(token_hash)

    async def _write_down(self, request: web.Request, route: tuple[str, str], caller: Operator, action: str) -> None:
        """Before it is done: what cannot be written down does not happen."""
        if action == "admin_read":
            look = (caller.name, request.path)
            if look in self._looks:
                return
        await self._trail.append_audit(
            caller.actor, action, _user(request), {"method": request.method[:20], "path": request.path[:200]}
        )
        if action == "admin_read":
            self._looks[look] = True


def _to_the_door(request: web.Request) -> web.Response:
    if kind_of(request.method, request.headers) is not Kind.NAVIGATION:
        return problem(UNAUTHORIZED)
    where = "/sign-in?" + urlencode({"next": request.path_qs})
    return web.Response(status=303, headers={"Location": where, "Cache-Control": "no-store"})


def route_of(request: web.Request) -> tuple[str, str]:
    """Its method and path as RULES spells them; HEAD is a GET."""
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    return method, "" if resource is None else resource.canonical


def _user(request: web.Request) -> UserId | None:
    """Whom it is about, if the request says so."""
    try:
        return UserId(UUID(request.match_info.get("user_id") or request.query.get("user", "")))
    except ValueError:
        return None
