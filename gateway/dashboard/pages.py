"""Pages of what an operator looks at: how things stand, everybody and everything that was done."""

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from gateway.admin.ask import Refused
from gateway.admin.instances import AskPage, Records, mark, searched
from gateway.admin.people import AskAudit
from gateway.admin.signups import AskSignups, Signups
from gateway.admin.stories import Keeper
from gateway.checkup.checks import Checkup
from gateway.dashboard.charts import bars
from gateway.dashboard.frame import Frame, given, read
from gateway.dashboard.views import calls, chart, facts, fly_chart, groups, times, verdicts
from gateway.dashboard.visits import Guests
from gateway.errors import Answer
from gateway.overview.glance import DAY, Overview
from gateway.session.admissions import Standing
from provisioner.audit import Trail
from provisioner.instance import State, UserId

ROWS: Final = 50
COLUMNS: Final = (
    ("email", "Who"),
    ("state", "State"),
    ("last_active", "Last active"),
    ("state_since", "In this state"),
    ("created_at", "Created"),
    ("region", "Region"),
)


class Pages:
    """Handlers that read; what changes something is a call of the admin API."""

    def __init__(
        self,
        frame: Frame,
        *,
        overview: Overview,
        records: Records,
        trail: Trail,
        awake: Keeper,
        signups: Signups,
        guests: Guests,
        checkup: Checkup,
        replica: str,
    ) -> None:
        self._frame, self._overview, self._records, self._trail = frame, overview, records, trail
        self._awake, self._signups, self._guests = awake, signups, guests
        self._checkup, self._replica = checkup, replica

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.front),
            web.get("/instances", self.instances),
            web.get("/instances/{user_id}", self.instance),
            web.get("/signups", self.people),
            web.get("/health", self.health),
            web.get("/switches", self.switching),
            web.get("/audit", self.audit),
        ]

    async def front(self, request: web.Request) -> web.Response:
        figures = await self._overview.figures(DAY)
        glance = await self._overview.glance(figures)
        counts = [(each.reason, each.n) for each in figures.failures]
        return await self._frame.page(
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
            fly=fly_chart(figures),
            replicas=await self._overview.replicas(),
            entries=[e for e in await self._trail.latest_audit(limit=60) if not e.action.startswith("admin_")][:12],
        )

    async def instances(self, request: web.Request) -> web.Response:
        asked = {name: text for name, text in request.query.items() if text != ""}
        asked.setdefault("sort", "last_active")
        if "sort" not in request.query:
            asked["desc"] = "true"
        ask = read(AskPage, asked)
        found = await searched(self._records, ask, limit=ROWS + 1)
        kept = {name: value for name, value in asked.items() if name != "after"}
        more = None
        if len(found) > ROWS:
            found = found[:ROWS]
            more = "/instances?" + urlencode({**kept, "after": mark(ask.sort, found[-1][0], found[-1][1].user_id)})

        def sorted_by(name: str) -> str:
            turned = {**kept, "sort": name, "desc": "false" if name == ask.sort and ask.desc else "true"}
            if name != ask.sort:
                turned["desc"] = "false" if name in ("email", "state", "region") else "true"
            return "/instances?" + urlencode(turned)

        return await self._frame.page(
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
        return await self._frame.page(
            request,
            "instance.html",
            "/instances",
            record=record,
            truths=truths,
            facts=facts(truths),
            waiting=await self._records.waiting(user_id),
            calls=calls(record),
            visits=await self._guests.of(user_id, now=self._frame.clock.now()),
            story=await self._awake.story(user_id, limit=30),
            entries=await self._trail.latest_audit(user_id=user_id, limit=60),
        )

    async def people(self, request: web.Request) -> web.Response:
        ask = read(AskSignups, given(request, "status", "after"))
        after = None if ask.after is None else UserId(ask.after)
        found = await self._signups.page(status=ask.status, after=after, limit=ROWS + 1)
        more = None
        if len(found) > ROWS:
            found = found[:ROWS]
            kept = {"status": ask.status.value} if ask.status else {}
            more = "/signups?" + urlencode({**kept, "after": str(found[-1].user_id)})
        return await self._frame.page(
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
        return await self._frame.page(request, "health.html", "/health", findings=findings, replica=self._replica)

    async def switching(self, request: web.Request) -> web.Response:
        return await self._frame.page(request, "switches.html", "/switches")

    async def audit(self, request: web.Request) -> web.Response:
        user = request.query.get("user", "").strip()
        try:
            ask, wrong = read(AskAudit, given(request, "user", "since", "before")), None
        except Refused:
            ask, wrong = read(AskAudit, {}), "That is no user id, instant or row: everything is shown."
        user_id = None if ask.user is None else UserId(ask.user)
        entries = await self._trail.latest_audit(user_id=user_id, since=ask.since, before=ask.before, limit=ask.limit)
        more = None
        if len(entries) == ask.limit:
            more = "/audit?" + urlencode({**({"user": user} if user_id else {}), "before": entries[-1].id})
        return await self._frame.page(
            request, "audit.html", "/audit", user=user, wrong=wrong, entries=entries, more=more
        )
