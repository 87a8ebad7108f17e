"""The account origin: who asks, from where, for what. Every answer is a page or a refusal, and none is ever cached."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlencode

import structlog
from aiohttp import web

from gateway.account.csrf import FIELD, FormTokens
from gateway.account.deeds import DAYS, Deeds, NotConfirmed, NotFresh
from gateway.account.forms import BadForm, one, read_form
from gateway.account.machine import MyMachine
from gateway.account.origin import AccountHost, check_fetch
from gateway.account.visitors import Visitors
from gateway.errors import NoSuchPage, of_page
from gateway.pages.account import AccountPages, Frame
from gateway.pages.machine import MachinePages
from gateway.session.cookie import clear_cookie
from gateway.session.identity import Identity, NotSameOrigin, NotSignedIn
from gateway.session.origin import check_origin
from gateway.session.personal import TooManyTokens
from gateway.session.sessions import Sessions
from gateway.session.signin import CLEAR_SITE_DATA, SignIn
from provisioner.errors import Moved, ProvisionerError

SAID: Final[Mapping[str, str]] = {
    "restarting": "It has stopped and is being started anew. This page follows it.",
    "not-restarted": "It could not be restarted just now. Please try again in a minute.",
    "busy": "Something else is being done with it right now. Please try again in a moment.",
    "kept": "It stays awake, however quiet it is.",
    "may-sleep": "It may go to sleep again when it is quiet.",
    "no-choice": "Nothing was changed: choose for how long.",
    "ended": "That session is signed out.",
    "revoked": "That token opens nothing any more.",
    "gone": "It had ended already.",
    "choose": "No token was made: choose what it may.",
    "visit-ended": "That visit is over.",
    "allowed": "Visits are allowed again.",
    "forbidden": "Nobody opens your machine but you.",
    "enough": "No token was made: you have as many as one may have. Revoke one first.",
}
Form = dict[str, list[str]]
Anybody = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Reading = Callable[[web.BaseRequest, Identity], Awaitable[web.StreamResponse]]
Deed = Callable[[Identity, Form], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)


class AccountDoor:
    """Answers every request for the account host. Failures are raised, for the edge to render."""

    def __init__(
        self,
        *,
        host: AccountHost,
        sessions: Sessions,
        signin: SignIn,
        deeds: Deeds,
        visitors: Visitors,
        forms: FormTokens,
        pages: AccountPages,
        machine: MyMachine,
        machine_pages: MachinePages,
        app_url: str,
        keeps_login: bool,
    ) -> None:
        self._host, self._sessions, self._deeds, self._visitors = host, sessions, deeds, visitors
        self._forms, self._pages, self._machine, self._machine_pages = forms, pages, machine, machine_pages
        self._app_url, self._keeps_login = app_url, keeps_login
        self._signin = signin
        self._open: dict[tuple[str, str], Anybody] = {
            ("GET", "/auth/login"): signin.login,
            ("GET", "/auth/callback"): signin.callback,
            ("GET", "/goodbye"): self._goodbye,
        }
        self._pages_of: dict[str, Reading] = {
            "/": self._overview,
            "/plan": self._plan,
            "/sessions": self._list_sessions,
            "/tokens": self._list_tokens,
            "/visits": self._list_visits,
            "/data": self._data,
        }
        self._deeds_at: dict[str, Deed] = {
            "/restart": self._restart,
            "/keep-awake": self._keep_awake,
            "/sessions/end": self._end_session,
            "/sessions/end-all": self._end_all,
            "/tokens/new": self._new_token,
            "/tokens/end": self._end_token,
            "/visits/end": self._end_visit,
            "/visits/allow": self._allow_visits,
            "/visits/forbid": self._forbid_visits,
            "/export": self._export,
            "/delete": self._delete,
        }

    def is_for(self, host: str) -> bool:
        """Whether a request with this Host header is answered here."""
        return self._host.is_named(host)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer. Raises SessionError, NoSuchPage."""
        method, path = request.method, request.path
        check_fetch(method, request.headers)
        if (handler := self._open.get((method, path))) is not None:
            return await handler(request)
        if method == "GET" and (reading := self._pages_of.get(path)) is not None:
            try:
                return await reading(request, await self._who(request))
            except NotSignedIn:
                return self._stranger(request)
        if method == "POST" and (path == "/auth/logout" or path in self._deeds_at):
            return await self._do(request, path)
        raise NoSuchPage(path[:200])

    async def _do(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """A deed: asked by a page of ours, with a form that this very session was shown."""
        check_origin(request.headers, self._host.origin)
        who = await self._who(request)
        try:
            form = await read_form(request)
            if who.session is None or not self._forms.fits(one(form, FIELD), who.session):
                raise NotSameOrigin("the form was made for somebody else")
            if path == "/auth/logout":
                return await self._signin.logout(request)
            return await self._deeds_at[path](who, form)
        except BadForm as bad:
            raise NotSameOrigin(str(bad)) from bad

    async def _who(self, request: web.BaseRequest) -> Identity:
        return await self._sessions.identify(request.headers.getall("Cookie", []))

    def _stranger(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/":
            signed_out = "signed-out" in request.rel_url.query
            return of_page(self._pages.entrance(app_url=self._app_url, signed_out=signed_out))
        return _go("/auth/login?" + urlencode({"next": request.path}))

    def _frame(self, who: Identity, said: str | None = None) -> Frame:
        """`said` is a key of SAID, as a redirect of ours carries it; anything else says nothing."""
        csrf = self._forms.of(who.session or b"")
        return Frame(email=who.email, csrf=csrf, app_url=self._app_url, said=SAID.get(said or ""))

    async def _overview(self, request: web.BaseRequest, who: Identity) -> web.StreamResponse:
        report = await self._machine.report(who)
        return of_page(
            self._machine_pages.overview(
                self._frame(who, _said(request)),
                machine=report.machine,
                month=report.month,
                wakes=report.wakes,
                moments=report.moments,
                plan=report.plan,
            )
        )

    async def _plan(self, request: web.BaseRequest, who: Identity) -> web.StreamResponse:
        month = await self._machine.month(who, await self._machine.look(who.user_id))
        mine, plans = self._machine.plan_cards(who)
        return of_page(self._machine_pages.plan(self._frame(who), mine=mine, plans=plans, month=month))

    async def _restart(self, who: Identity, form: Form) -> web.StreamResponse:
        try:
            await self._machine.restart(who)
        except Moved:
            return _go("/?said=busy")
        except ProvisionerError as fault:
            log.warning("restart_failed", user_id=str(who.user_id), error=f"{type(fault).__name__}: {fault}")
            return _go("/?said=not-restarted")
        return _go("/?said=restarting")

    async def _keep_awake(self, who: Identity, form: Form) -> web.StreamResponse:
        try:
            hours = int(one(form, "hours"))
            holds = await self._machine.keep_awake(who, hours)
        except ValueError:
            return _go("/?said=no-choice")
        return _go("/?said=" + ("busy" if holds is None else "kept" if hours else "may-sleep"))

    async def _list_sessions(self, request: web.BaseRequest, who: Identity) -> web.StreamResponse:
        return of_page(self._pages.sessions(self._frame(who, _said(request)), rows=await self._deeds.session_rows(who)))

    async def _list_tokens(self, request: web.BaseRequest, who: Identity) -> web.StreamResponse:
        rows = await self._deeds.token_rows(who)
        return of_page(self._pages.tokens(self._frame(who, _said(request)), rows=rows, new=None, days=DAYS))

    async def _list_visits(self, request: web.BaseRequest, who: Identity) -> web.StreamResponse:
        rows, closed = await self._visitors.rows(who), await self._visitors.is_closed(who)
        return of_page(self._pages.visits(self._frame(who, _said(request)), rows=rows, closed=closed))

    async def _end_visit(self, who: Identity, form: Form) -> web.StreamResponse:
        done = await self._visitors.end(who, one(form, "visit"))
        return _go("/visits?said=" + ("visit-ended" if done else "gone"))

    async def _allow_visits(self, who: Identity, form: Form) -> web.StreamResponse:
        await self._visitors.allow(who)
        return _go("/visits?said=allowed")

    async def _forbid_visits(self, who: Identity, form: Form) -> web.StreamResponse:
        await self._visitors.forbid(who)
        return _go("/visits?said=forbidden")

    async def _data(self, request: web.BaseRequest, who: Identity) -> web.StreamResponse:
        return await self._data_page(who, None)

    async def _data_page(self, who: Identity, wrong: str | None) -> web.StreamResponse:
        fresh = await self._deeds.is_fresh(who)
        return of_page(self._pages.data(self._frame(who), fresh=fresh, wrong=wrong, keeps_login=self._keeps_login))

    async def _end_session(self, who: Identity, form: Form) -> web.StreamResponse:
        done = await self._deeds.end_session(who, one(form, "session"))
        return _go("/sessions?said=" + ("ended" if done else "gone"))

    async def _end_all(self, who: Identity, form: Form) -> web.StreamResponse:
        await self._deeds.end_all(who)
        return self._left("/?signed-out")

    async def _new_token(self, who: Identity, form: Form) -> web.StreamResponse:
        new = said = None
        try:
            new = await self._deeds.make_token(
                who, name=one(form, "name"), days=int(one(form, "days")), scopes=form.get("scope", [])
            )
        except ValueError:
            said = "choose"
        except TooManyTokens:
            said = "enough"
        rows = await self._deeds.token_rows(who)
        return of_page(self._pages.tokens(self._frame(who, said), rows=rows, new=new, days=DAYS))

    async def _end_token(self, who: Identity, form: Form) -> web.StreamResponse:
        done = await self._deeds.revoke_token(who, one(form, "token"))
        return _go("/tokens?said=" + ("revoked" if done else "gone"))

    async def _export(self, who: Identity, form: Form) -> web.StreamResponse:
        body = json.dumps(await self._deeds.export(who), indent=1, ensure_ascii=False).encode()
        return web.Response(
            body=body,
            content_type="application/json",
            headers={
                "Content-Disposition": 'attachment; filename="my-jarvis.json"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Content-Security-Policy": "default-src 'none'; sandbox",
            },
        )

    async def _delete(self, who: Identity, form: Form) -> web.StreamResponse:
        try:
            await self._deeds.delete(who, one(form, "confirm"))
        except NotFresh:
            return await self._data_page(who, "Please sign in again first: that was more than ten minutes ago.")
        except NotConfirmed:
            return await self._data_page(who, "That is not your address. Nothing was deleted.")
        log.info("deletion_asked", user_id=str(who.user_id))
        return self._left("/goodbye")

    async def _goodbye(self, request: web.BaseRequest) -> web.StreamResponse:
        return of_page(self._pages.goodbye())

    def _left(self, where: str) -> web.Response:
        names = self._sessions.names
        response = _go(where)
        for name in (names.session, names.loop, names.last_user):
            response.headers.add("Set-Cookie", clear_cookie(name, names))
        response.headers["Clear-Site-Data"] = CLEAR_SITE_DATA
        return response


def _said(request: web.BaseRequest) -> str | None:
    return request.rel_url.query.get("said")


def _go(where: str) -> web.Response:
    return web.Response(status=303, headers={"Location": where, "Cache-Control": "no-store"})
