"""The dashboard's paths: signing in and out, and the rooms behind the door."""

from collections.abc import Sequence

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.admin.ask import REFUSAL
from gateway.admin.guard import Doorkeeper
from gateway.admin.sessions import COOKIE, LASTS, OperatorSessions, is_csrf, shown
from gateway.dashboard.drawing import Drawing
from gateway.dashboard.frame import Room
from gateway.errors import Answer, problem
from gateway.request import Kind, kind_of
from provisioner.audit import Trail
from provisioner.operators import hash_of

log = structlog.get_logger(__name__)


class Dashboard:
    """Routes and middleware for the admin application."""

    def __init__(
        self,
        drawing: Drawing,
        rooms: Sequence[Room],
        *,
        door: Doorkeeper,
        sessions: OperatorSessions,
        trail: Trail,
    ) -> None:
        self._drawing, self._rooms = drawing, rooms
        self._door, self._sessions, self._trail = door, sessions, trail

    def routes(self) -> Sequence[web.RouteDef]:
        return (
            web.get("/sign-in", self.knock),
            web.post("/sign-in", self.enter),
            web.post("/sign-out", self.leave),
            web.get("/assets/{name}", self.asset),
            *(route for room in self._rooms for route in room.routes()),
        )

    @web.middleware
    async def as_pages(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A person who goes somewhere gets a page, also when it is a refusal."""
        answer = await handler(request)
        if answer.content_type != "application/problem+json" or kind_of(request.method, request.headers) not in (
            Kind.NAVIGATION,
            Kind.SUBMISSION,
        ):
            return answer
        refused = request.get(REFUSAL)
        title = refused.title if refused else answer.reason or "It did not work"
        words = refused.words if refused else "Look at the log of this replica for what went wrong."
        return self._drawing.page("failure.html", status=answer.status, title=title, words=words)

    # -- the door ------------------------------------------------------------------------------------------------

    async def knock(self, request: web.Request) -> web.Response:
        return self._drawing.page("sign-in.html", next=_inside(request.query.get("next", "/")), wrong=None)

    async def enter(self, request: web.Request) -> web.Response:
        """A cookie for whoever shows a good token."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return problem(Answer(403, "Not from here", "Sign in on the dashboard's own page."))
        told = await request.post()
        next_path, token = _inside(str(told.get("next", "/"))), str(told.get("token", "")).strip()
        operator = await self._door.bearer(token)
        if operator is None:
            log.warning("admin_refused", path="/sign-in", peer=request.remote)
            return self._drawing.page("sign-in.html", status=401, next=next_path, wrong="This token opens nothing.")
        await self._trail.append_audit(operator.actor, "operator_signed_in", None, {"from": request.remote})
        answer = web.Response(status=303, headers={"Location": next_path, "Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE,
            await self._sessions.begin(hash_of(token)),
            max_age=int(LASTS.total_seconds()),
            httponly=True,
            samesite="Strict",
            secure=request.secure,
            path="/",
        )
        return answer

    async def leave(self, request: web.Request) -> web.Response:
        cookie = shown(request.headers.getall("Cookie", []))
        told = await request.post()
        if not is_csrf(cookie, str(told.get("csrf", ""))):
            return problem(Answer(403, "Not from here", "Sign out with the button on the dashboard."))
        await self._sessions.end(cookie)
        answer = web.Response(status=303, headers={"Location": "/sign-in", "Cache-Control": "no-store"})
        answer.del_cookie(COOKIE, path="/")
        return answer

    async def asset(self, request: web.Request) -> web.Response:
        found = self._drawing.asset(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return found


def _inside(path: str) -> str:
    """`path` if it is one of ours, else the front page: "//x" and "/\\x" are other hosts to a browser."""
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() else "/"
