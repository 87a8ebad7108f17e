"""The public listener: whose is this path, who is asking, and where do they go."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode
from uuid import uuid4

import structlog
from aiohttp import web

from gateway.account.door import AccountDoor
from gateway.errors import NoSuchPage, TooOften, UnderMaintenance, WorkerAtRoot, of_page, respond
from gateway.gate import Gate
from gateway.health import Health
from gateway.limits.bucket import Standing as Tokens
from gateway.limits.limits import RateLimits
from gateway.lobby import Lobby, to
from gateway.observe import Metrics
from gateway.pages.render import Pages
from gateway.proxy.errors import UpstreamError
from gateway.proxy.relay import fault_of
from gateway.request import Kind, client_ip, is_reserved, kind_of, wants_root_worker
from gateway.session.admissions import NotAdmitted, Standing
from gateway.session.failures import WORDS, SignInFailed
from gateway.session.failures import Kind as Failure
from gateway.session.failures import kind_of as failure_in
from gateway.session.identity import Identity, NotSignedIn, Reason
from gateway.session.next import safe_next
from gateway.session.origin import check_origin
from gateway.session.personal import Scope
from gateway.session.sessions import Sessions
from gateway.session.signin import SignIn
from gateway.visiting import Visiting
from provisioner.errors import ProvisioningFailed, WakeExpired
from provisioner.lifecycle import Visitor
from provisioner.switches import Switch, Switches

log = structlog.get_logger(__name__)

SIGN_IN: Final = "/auth/"
HEALTH_CHECKS: Final = ("/_gateway/healthz", "/_gateway/readyz")
WAITING_ROOM: Final = "/welcome/waiting"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Public:
    """Answers every request of the public host. One instance a replica; holds no state of its own."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        signin: SignIn,
        visiting: Visiting,
        account: AccountDoor,
        gate: Gate,
        lobby: Lobby,
        pages: Pages,
        health: Health,
        metrics: Metrics,
        limits: RateLimits,
        client_ip_header: str,
        origin: str,
        switches: Switches,
    ) -> None:
        """`origin` is the public one: what is asked of us by a form comes from there."""
        self._origin = origin
        self._sessions = sessions
        self._line = signin.line
        self._account = account
        self._gate = gate
        self._lobby = lobby
        self._pages = pages
        self._metrics = metrics
        self._limits = limits
        self._client_ip_header = client_ip_header
        self._switches = switches
        self._own: dict[tuple[str, str], Handler] = {
            ("GET", "/auth/login"): signin.login,
            ("GET", "/auth/callback"): signin.callback,
            ("POST", "/auth/logout"): signin.logout,
            ("GET", "/auth/visit"): visiting.ask,
            ("POST", "/auth/visit"): visiting.open,
            ("GET", WAITING_ROOM): self._waiting,
            ("GET", "/welcome/privacy"): self._privacy,
            ("GET", "/_gateway/standing"): self._standing,
            ("POST", "/_gateway/retry"): self._retry,
            ("GET", "/_gateway/instance"): self._instance,
            ("GET", "/_gateway/events"): self._events,
            ("GET", "/_gateway/healthz"): health.alive,
            ("GET", "/_gateway/readyz"): health.ready,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request; failures come out as answers too, never as exceptions."""
        kind = kind_of(request.method, request.headers)
        try:
            if self._switches.on(Switch.MAINTENANCE) and request.path not in HEALTH_CHECKS:
                raise UnderMaintenance(self._switches.position(Switch.MAINTENANCE).message)
            if request.path.startswith(SIGN_IN):
                return await self._signing_in(request)
            if self._account.is_for(request.host):
                return await self._own_page(request)
            fault = fault_of(request)
            if fault is not None and fault.sent:
                raise fault  # the fast lane had sent it to the Machine, and no answer came
            if is_reserved(request.path):
                return await self._own_page(request)
            return await self._machine(request, kind)
        except Exception as fault:
            return await self._failed(request, kind, fault)

    async def _signing_in(self, request: web.BaseRequest) -> web.StreamResponse:
        """By address, before anything is looked up: nobody is known yet, and each of these may ask Supabase."""
        client = client_ip(request.remote, request.headers, self._client_ip_header)
        wait = self._limits.take_sign_in(client)
        standing = self._limits.sign_in_standing(client)
        if wait is not None:
            self._metrics.own.inc()
            raise self._too_often(wait, standing)
        response = await self._own_page(request)
        if not response.prepared:
            response.headers.update(standing.fields)
        return response

    def _too_often(self, wait: float, standing: Tokens) -> TooOften:
        self._metrics.too_often(standing.name)
        return TooOften(wait, standing)

    async def _own_page(self, request: web.BaseRequest) -> web.StreamResponse:
        self._metrics.own.inc()
        if self._account.is_for(request.host):
            return await self._account.handle(request)
        handler = self._own.get((request.method, request.path))
        if handler is None:
            raise NoSuchPage(request.path[:200])
        return await handler(request)

    async def _machine(self, request: web.BaseRequest, kind: Kind) -> web.StreamResponse:
        authorization = request.headers.get("Authorization")
        try:
            identity = await self._identity(request)
        except NotSignedIn as stranger:
            return self._stranger(request, kind, stranger)
        identity.require(Scope.APP)
        if wants_root_worker(request.rel_url.raw_path, request.headers):
            raise WorkerAtRoot(request.path[:200])
        if (wait := self._limits.take(identity.user_id)) is not None:
            raise self._too_often(wait, self._limits.standing(identity.user_id))
        if fault_of(request) is None:  # else the fast lane counted it
            self._metrics.passed.n += 1
        return await self._gate.pass_through(
            request,
            identity,
            kind,
            client=client_ip(request.remote, request.headers, self._client_ip_header),
            bearer=self._sessions.bearer(authorization) is not None,
        )

    async def _identity(self, request: web.BaseRequest) -> Identity:
        headers = request.headers
        return await self._sessions.identify(headers.getall("Cookie", []), headers.get("Authorization"))

    async def _visitor(self, request: web.BaseRequest) -> Visitor:
        identity = await self._identity(request)
        identity.require(Scope.READ)
        return Visitor(identity.user_id, identity.email)

    def _stranger(self, request: web.BaseRequest, kind: Kind, stranger: NotSignedIn) -> web.Response:
        if kind is not Kind.NAVIGATION:
            raise stranger
        if request.path == "/":
            query = request.rel_url.query
            failed = failure_in(query)  # Supabase sends people here when it has lost its own state
            words = None if failed is None else WORDS[failed].words
            return of_page(self._pages.landing(error=words, signed_out="signed-out" in query))
        login = "/auth/login?" + urlencode({"next": request.raw_path})
        return web.Response(status=302, headers={"Location": login, "Cache-Control": "no-store"})

    async def _waiting(self, request: web.BaseRequest) -> web.Response:
        try:
            visitor = await self._visitor(request)
        except NotSignedIn:
            return await self._in_line(request)
        return await self._lobby.waiting(visitor, _diagnostic_id())

    async def _in_line(self, request: web.BaseRequest) -> web.Response:
        """The waiting room for whoever is on the waiting list. Who is let in is sent to sign in; others to the start.

        Raises NotAdmitted.
        """
        who = await self._line.look(request.headers.getall("Cookie", []))
        if who is None:
            return to("/")
        if who.standing is Standing.ADMITTED:
            return to("/auth/login?" + urlencode({"next": who.next, "login_hint": who.email}))
        if who.standing is not Standing.WAITING:
            raise NotAdmitted(who.standing)
        return of_page(self._pages.in_line(email=who.email, place=who.place))

    async def _standing(self, request: web.BaseRequest) -> web.Response:
        """What the page of the waiting list asks: how it stands for whoever carries a note of ours."""
        who = await self._line.look(request.headers.getall("Cookie", []))
        if who is None:
            raise NotSignedIn(Reason.NOTHING_SHOWN)
        told = {"standing": who.standing.value, "place": who.place}
        return web.json_response(told, headers={"Cache-Control": "no-store"})

    async def _privacy(self, request: web.BaseRequest) -> web.Response:
        return of_page(self._pages.privacy())

    def _waits(self, fault: SignInFailed, request: web.BaseRequest) -> bool:
        """The account host has no waiting room."""
        return fault.kind is Failure.WAITING_LIST and not self._account.is_for(request.host)

    async def _retry(self, request: web.BaseRequest) -> web.Response:
        check_origin(request.headers, self._origin)
        identity = await self._identity(request)
        identity.require(Scope.APP)
        return self._lobby.retry(
            Visitor(identity.user_id, identity.email), safe_next(request.rel_url.query.get("next"))
        )

    async def _instance(self, request: web.BaseRequest) -> web.Response:
        return await self._lobby.instance(await self._visitor(request))

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._lobby.events(request, await self._visitor(request))

    async def _failed(self, request: web.BaseRequest, kind: Kind, fault: Exception) -> web.StreamResponse:
        diagnostic_id = _diagnostic_id()
        self._metrics.failures.labels(type(fault).__name__).inc()
        if kind is Kind.NAVIGATION and isinstance(fault, WakeExpired):
            return await self._lobby.loading(await self._visitor(request), request.raw_path, diagnostic_id)
        if kind is Kind.NAVIGATION and isinstance(fault, ProvisioningFailed):
            return to(WAITING_ROOM)
        if kind is Kind.NAVIGATION and isinstance(fault, SignInFailed) and self._waits(fault, request):
            there = to(WAITING_ROOM)
            for cookie in fault.set_cookies:
                there.headers.add("Set-Cookie", cookie)
            return there
        response = respond(fault, kind, self._pages, diagnostic_id=diagnostic_id)
        level = log.error if response.status == 500 else log.info
        level(
            "request_failed",
            diagnostic_id=diagnostic_id,
            method=request.method[:20],
            path=request.path[:200],
            status=response.status,
            error=type(fault).__name__,
            cause=str(fault)[:500],
            exc_info=fault if response.status == 500 else None,
        )
        if isinstance(fault, UpstreamError):
            response.force_close()  # how much of the request's body was read is not known here
        return response


def _diagnostic_id() -> str:
    return uuid4().hex[:12]
