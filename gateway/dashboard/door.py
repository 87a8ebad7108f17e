"""The dashboard's paths: signing in and out, and a page each for what an operator looks at."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ValidationError

from gateway.admin.ask import REFUSAL, Refused
from gateway.admin.contract import Ask
from gateway.admin.guard import CALLER, Doorkeeper
from gateway.admin.instances import AskPage, Records, mark, searched
from gateway.admin.people import AskAudit
from gateway.admin.sessions import COOKIE, LASTS, OperatorSessions, csrf_of, is_csrf, shown
from gateway.admin.signups import AskSignups, Signups
from gateway.admin.stories import Keeper
from gateway.checkup.checks import Checkup
from gateway.dashboard.charts import bars
from gateway.dashboard.drawing import Drawing
from gateway.dashboard.views import calls, chart, facts, groups, times, verdicts
from gateway.dashboard.words import SWITCH_WORDS
from gateway.errors import Answer, problem
from gateway.overview.glance import DAY, Overview
from gateway.request import Kind, kind_of
from gateway.session.admissions import Standing
from provisioner.audit import Trail
from provisioner.clock import Clock
from provisioner.instance import State, UserId
from provisioner.operators import hash_of
from provisioner.switches import SwitchRecords

log = structlog.get_logger(__name__)

A = TypeVar("A", bound=Ask)
ROWS: Final = 50
COLUMNS: Final = (
    ("email", "Who"),
    ("state", "State"),
    ("last_active", "Last active"),
    ("state_since", "In this state"),
    ("created_at", "Created"),
    ("region", "Region"),
)


class Dashboard:
    """Routes and middleware for the admin application."""

    def __init__(
        self,
        *,
        door: Doorkeeper,
        sessions: OperatorSessions,
        overview: Overview,
        records: Records,
        trail: Trail,
        awake: Keeper,
        signups: Signups,
        switches: SwitchRecords,
        checkup: Checkup,
        clock: Clock,
        replica: str,
    ) -> None:
        self._door, self._sessions, self._overview = door, sessions, overview
        self._records, self._trail, self._signups, self._awake = records, trail, signups, awake
        self._switches, self._checkup, self._clock, self._replica = switches, checkup, clock, replica
        self._drawing = Drawing()

    def routes(self) -> Sequence[web.RouteDef]:
        return (
            web.get("/sign-in", self.knock),
            web.post("/sign-in", self.enter),
            web.post("/sign-out", self.leave),
            web.get("/assets/{name}", self.asset),
            web.get("/", self.front),
            web.get("/instances", self.instances),
            web.get("/instances/{user_id}", self.instance),
            web.get("/signups", self.people),
            web.get("/health", self.health),
            web.get("/switches", self.switching),
            web.get("/audit", self.audit),
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

    # -- pages ---------------------------------------------------------------------------------------------------

    async def front(self, request: web.Request) -> web.Response:
        figures = await self._overview.figures(DAY)
        glance = await self._overview.glance(figures)
        counts = [(each.reason, each.n) for each in figures.failures]
        return await self._framed(
            request,
            "overview.html",
            "/",
            glance=glance,
            total=sum(glance.states.values()),
            groups=groups(glance),
            times=times(glance),
            needs=await self._overview.needs(),
            charts=[
                chart("First visits", ("provision",), figures),
                chart("Wakes", ("resume", "start"), figures),
            ],
            failures=bars(counts, label="Failures of the last 24 hours by reason"),
            replicas=await self._overview.replicas(),
            entries=[e for e in await self._trail.latest_audit(limit=60) if not e.action.startswith("admin_")][:12],
        )

    async def instances(self, request: web.Request) -> web.Response:
        given = {name: text for name, text in request.query.items() if text != ""}
        given.setdefault("sort", "last_active")
        if "sort" not in request.query:
            given["desc"] = "true"
        ask = _read(AskPage, given)
        found = await searched(self._records, ask, limit=ROWS + 1)
        kept = {name: value for name, value in given.items() if name != "after"}
        more = None
        if len(found) > ROWS:
            found = found[:ROWS]
            more = "/instances?" + urlencode({**kept, "after": mark(ask.sort, found[-1][0], found[-1][1].user_id)})

        def sorted_by(name: str) -> str:
            turned = {**kept, "sort": name, "desc": "false" if name == ask.sort and ask.desc else "true"}
            if name != ask.sort:
                turned["desc"] = "false" if name in ("email", "state", "region") else "true"
            return "/instances?" + urlencode(turned)

        return await self._framed(
            request,
            "instances.html",
            "/instances",
            ask=ask,
            states=[state.value for state in State],
            columns=COLUMNS,
            instances=[instance for _, instance in found],
            sorted=sorted_by,
            more=more,
        )

    async def instance(self, request: web.Request) -> web.Response:
        try:
            user_id = UserId(UUID(request.match_info["user_id"]))
        except ValueError:
            raise Refused(Answer(404, "No such Instance", "Its address has to end in a user id.")) from None
        record = await self._records.find(user_id)
        if record is None:
            raise Refused(Answer(404, "No such Instance", "This user has none, or none any more."))
        truths = await self._overview.truths(record)
        return await self._framed(
            request,
            "instance.html",
            "/instances",
            record=record,
            truths=truths,
            facts=facts(truths),
            waiting=await self._records.waiting(user_id),
            calls=calls(record),
            story=await self._awake.story(user_id, limit=30),
            entries=await self._trail.latest_audit(user_id=user_id, limit=60),
        )

    async def people(self, request: web.Request) -> web.Response:
        ask = _read(AskSignups, _given(request, "status", "after"))
        after = None if ask.after is None else UserId(ask.after)
        found = await self._signups.page(status=ask.status, after=after, limit=ROWS + 1)
        more = None
        if len(found) > ROWS:
            found = found[:ROWS]
            kept = {"status": ask.status.value} if ask.status else {}
            more = "/signups?" + urlencode({**kept, "after": str(found[-1].user_id)})
        return await self._framed(
            request,
            "signups.html",
            "/signups",
            signups=found,
            standing=ask.status,
            standings=[each.value for each in Standing if each is not Standing.LEAVING],
            verdicts=verdicts,
            more=more,
        )

    async def health(self, request: web.Request) -> web.Response:
        findings = sorted(await self._checkup(), key=lambda each: ("bad", "warn", "good").index(each.level))
        return await self._framed(request, "health.html", "/health", findings=findings, replica=self._replica)

    async def switching(self, request: web.Request) -> web.Response:
        return await self._framed(request, "switches.html", "/switches")

    async def audit(self, request: web.Request) -> web.Response:
        user = request.query.get("user", "").strip()
        try:
            ask, wrong = _read(AskAudit, _given(request, "user", "since", "before")), None
        except Refused:
            ask, wrong = _read(AskAudit, {}), "That is no user id, instant or row: everything is shown."
        user_id = None if ask.user is None else UserId(ask.user)
        entries = await self._trail.latest_audit(user_id=user_id, since=ask.since, before=ask.before, limit=ask.limit)
        more = None
        if len(entries) == ask.limit:
            more = "/audit?" + urlencode({**({"user": user} if user_id else {}), "before": entries[-1].id})
        return await self._framed(request, "audit.html", "/audit", user=user, wrong=wrong, entries=entries, more=more)

    async def _framed(self, request: web.Request, template: str, here: str, **given: Any) -> web.Response:
        cookie = shown(request.headers.getall("Cookie", []))
        return self._drawing.page(
            template,
            here=here,
            now=self._clock.now(),
            caller=request[CALLER],
            csrf=csrf_of(cookie) if cookie else "",
            words=SWITCH_WORDS,
            switches=await self._switches.positions(),
            **given,
        )


def _given(request: web.Request, *names: str) -> dict[str, str]:
    """Of these parameters those that say something: a form also sends its empty fields."""
    return {name: text for name in names if (text := request.query.get(name, "").strip())}


def _read(ask: type[A], given: Mapping[str, str]) -> A:
    """A page's parameters, read as the API reads its own. Raises Refused."""
    try:
        return ask.model_validate_strings(given)
    except ValidationError:
        raise Refused(Answer(400, "Cannot be read", "This address does not name a list. Begin anew.")) from None


def _inside(path: str) -> str:
    """`path` if it is one of ours, else the front page: "//x" and "/\\x" are other hosts to a browser."""
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() else "/"
