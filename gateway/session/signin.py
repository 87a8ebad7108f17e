"""Signing in and out: what happens at /auth/login, /auth/callback and /auth/logout.

Written for aiohttp's low-level server: a `BaseRequest` in, a `StreamResponse` out. Failures are raised for the edge
to render: SignInFailed, SignInUnavailable, NotSameOrigin.
"""

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Final

import structlog
from aiohttp import web

from gateway.session import cookie, flow, loop
from gateway.session.admissions import Admissions, Standing
from gateway.session.claims import Claims, TokenRefused
from gateway.session.cookie import Realm
from gateway.session.failures import BY_STANDING, Kind, SignInFailed, kind_of, kind_of_code
from gateway.session.flow import Flow
from gateway.session.identity import Identity, NotSignedIn, SignInUnavailable
from gateway.session.line import Line
from gateway.session.next import HOME, safe_next
from gateway.session.origin import check_origin
from gateway.session.pulse import Pulse
from gateway.session.sessions import Sessions
from gateway.session.settings import SessionSettings
from gateway.session.supabase import Granted, SupabaseAuth, SupabaseRefused, SupabaseSilent, TooMany
from gateway.session.token import Tokens
from gateway.session.vault import Vault, derive
from gateway.session.visits import Visits
from provisioner.clock import Clock
from provisioner.instance import UserId

CLEAR_SITE_DATA: Final = '"cache", "storage"'
"""A Machine's page may register a service worker for the whole origin: nothing of one user may stay for another."""
SIGNED_OUT: Final = f"{HOME}?signed-out"
"""The landing page, saying so."""
PROMPTS: Final = frozenset({"select_account", "consent", "login"})
MAX_HINT: Final = 320  # the longest e-mail address

_CODE = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_PRIVATE: Final = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"}
log = structlog.get_logger(__name__)


class SignIn:
    """The handlers. They keep nothing between requests; an attempt lives in its browser's sealed cookie."""

    def __init__(
        self,
        settings: SessionSettings,
        *,
        sessions: Sessions,
        admissions: Admissions,
        tokens: Tokens,
        supabase: SupabaseAuth,
        clock: Clock,
        client_ip: Callable[[web.BaseRequest], str | None],
    ) -> None:
        """`client_ip` tells a request's true sender, for Supabase's rate limit and the list of sessions."""
        self._settings, self._sessions, self._tokens = settings, sessions, tokens
        self._supabase, self._clock, self._client_ip = supabase, clock, client_ip
        self._pulse = Pulse(supabase, clock)
        self._admissions = admissions
        self._names = sessions.names
        self._vault = Vault(settings.master_keys, purpose="flow-cookie")
        self._line = Line(admissions, sessions.names, Vault(settings.master_keys, purpose="waiting-note"))
        self._user_keys = [derive(key, "last-user") for key in settings.master_keys.values()]

    @property
    def line(self) -> Line:
        """The waiting list as seen from here."""
        return self._line

    async def login(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /auth/login?next=&login_hint=&prompt= → Supabase → Google.

        Who is signed in already goes straight to `next`, unless a hint or prompt asks for an account.
        """
        query, cookies, now = request.rel_url.query, _cookie_headers(request), self._clock.now()
        next_path = safe_next(query.get("next"))
        asks = _for_google(query)
        if not asks and await self._identity(cookies) is not None:
            return _go(next_path)
        times = loop.times(cookies, self._names, self._vault, now=now)
        if len(times) >= loop.MAX_SIGN_INS:
            log.warning("sign_in_loop", times=len(times))
            cleared = cookie.clear_cookie(self._names.loop, self._names)  # so that the page's own link works
            raise SignInFailed(Kind.LOOP, next_path=next_path, set_cookies=(cleared,))
        try:
            await self._pulse.check()
        except SupabaseSilent as silent:
            log.warning("sign_in_failed", kind=Kind.UNAVAILABLE.value, cause=str(silent))
            raise SignInFailed(Kind.UNAVAILABLE, next_path=next_path) from silent
        attempt = flow.begin(next_path, now=now)
        name, value = flow.to_cookie(attempt, self._names, self._vault)
        pending = cookie.flow_cookies(cookies, self._names)
        set_cookies = [
            *(cookie.clear_cookie(old, self._names) for old in flow.surplus(pending, value, self._vault, now=now)),
            cookie.set_cookie(name, value, self._names, max_age=flow.LIFETIME),
            loop.to_cookie([*times, now], self._names, self._vault),
        ]
        where = self._supabase.authorize_url(
            # The state rides in our own query: Auth drops a `state` of ours (facts §0.5).
            redirect_to=f"{self._settings.public_origin}/auth/callback?s={attempt.state}",
            challenge=attempt.challenge,
            extra=asks,
        )
        return _go(where, set_cookies=set_cookies)

    async def callback(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /auth/callback: back from Google, with a code or with bad news.

        Nothing is asked of Supabase before the state was found in this browser's own cookie: all our calls share one
        rate limit, and made-up callbacks must not spend it.
        """
        query, cookies, now = request.rel_url.query, _cookie_headers(request), self._clock.now()
        pending = cookie.flow_cookies(cookies, self._names)
        attempt = flow.find(query.get("s"), pending, self._names, self._vault, now=now)
        if attempt is None:
            return await self._already(cookies, HOME, Kind.START_AGAIN)
        spent = cookie.clear_cookie(flow.cookie_name(attempt.state, self._names), self._names)
        if (kind := kind_of(query)) is not None:
            log.info("sign_in_failed", kind=kind.value)
            raise SignInFailed(kind, next_path=attempt.next, set_cookies=(spent,))
        code = query.get("code", "")
        if not _CODE.fullmatch(code):
            raise SignInFailed(Kind.START_AGAIN, next_path=attempt.next, set_cookies=(spent,))
        try:
            granted, claims = await self._exchanged(code, attempt, request)
        except SignInFailed as failed:
            failed.set_cookies = (spent,)
            if failed.kind is not Kind.START_AGAIN:
                raise
            # A callback opened twice (reload, back button): the first one signed in, so there is nothing to say.
            return await self._already(cookies, attempt.next, failed)
        return await self._welcome(request, attempt, granted, claims, spent)

    async def logout(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /auth/logout from our own origin: signs out here and leaves nothing of the user in the browser."""
        check_origin(request.headers, self._settings.public_origin)
        if (old := self._old_session(_cookie_headers(request))) is not None:
            await self._sessions.end(old)
        names = self._names
        gone = [cookie.clear_cookie(name, names) for name in sorted(names.exact)]
        return _go(SIGNED_OUT, set_cookies=gone, clear_site_data=True)

    async def _exchanged(self, code: str, attempt: Flow, request: web.BaseRequest) -> tuple[Granted, Claims]:
        """Verified tokens for a code. Raises SignInFailed."""
        try:
            granted = await self._supabase.exchange(code, attempt.verifier, user_ip=self._client_ip(request))
            return granted, await self._tokens.verify(granted.access_token)
        except TooMany as limited:
            kind, cause = Kind.BUSY, str(limited)
        except SupabaseRefused as refused:
            kind, cause = kind_of_code(refused.code), str(refused)
        except (SupabaseSilent, SignInUnavailable) as silent:
            kind, cause = Kind.UNAVAILABLE, str(silent)
        except TokenRefused as bad:
            kind, cause = Kind.FAILED, bad.detail
        log.warning("sign_in_failed", kind=kind.value, cause=cause)
        raise SignInFailed(kind, next_path=attempt.next)

    async def _welcome(
        self, request: web.BaseRequest, attempt: Flow, granted: Granted, claims: Claims, spent: str
    ) -> web.StreamResponse:
        """A new session with a new id, the old one of this browser ended, what another user left behind cleared."""
        cookies, names = _cookie_headers(request), self._names
        try:
            standing = await self._admissions.ask(claims.user_id, claims.email)
            if standing is not Standing.ADMITTED:
                log.info("sign_in_not_admitted", user_id=str(claims.user_id), standing=standing.value)
                noted = [self._line.note(claims.user_id, claims.email, attempt.next)]
                waits = standing is Standing.WAITING and names.realm is Realm.PUBLIC
                cookies_set = (spent, *(noted if waits else ()))
                raise SignInFailed(BY_STANDING[standing], next_path=attempt.next, set_cookies=cookies_set)
            cookie_id, identity = await self._sessions.create(
                granted, claims, user_agent=request.headers.get("User-Agent"), ip=self._client_ip(request)
            )
            old = self._old_session(cookies)
            previous = await self._sessions.end(old) if old is not None else None
        except SignInUnavailable as unavailable:
            log.warning("sign_in_failed", kind=Kind.UNAVAILABLE.value, cause=unavailable.cause)
            raise SignInFailed(Kind.UNAVAILABLE, next_path=attempt.next, set_cookies=(spent,)) from unavailable
        log.info("signed_in", user_id=str(identity.user_id))
        return _go(
            attempt.next,
            set_cookies=[
                spent,
                cookie.clear_cookie(names.waiting, names),
                cookie.set_cookie(names.session, cookie_id, names, max_age=self._settings.absolute_lifetime),
                self._mark(identity.user_id),
            ],
            clear_site_data=self._somebody_else(cookies, previous, identity.user_id),
        )

    async def visit(self, request: web.BaseRequest, visits: Visits, ticket: str) -> web.StreamResponse | None:
        """Begin an operator's visit in this browser: whoever was signed in here is so no more, and nothing of theirs
        stays, nor will anything of the visited user's. None: the ticket is good no more. Raises SignInUnavailable.
        """
        cookies, names = _cookie_headers(request), self._names
        cookie_id = cookie.new_session_id()
        visit = await visits.open(ticket, self._sessions.hash_of(cookie_id))
        if visit is None:
            return None
        if (old := self._old_session(cookies)) is not None:
            await self._sessions.end(old)
        log.info("visit_opened", visit=str(visit.id), user_id=str(visit.user_id), operator=visit.operator)
        session = cookie.set_cookie(names.session, cookie_id, names, max_age=timedelta(minutes=visit.minutes))
        return _go(HOME, set_cookies=[session, self._mark(visit.user_id)], clear_site_data=True)

    def _mark(self, user_id: UserId) -> str:
        """The cookie that outlives a session: whose it was, for us alone to recognise."""
        mark = self._mark_of(user_id, self._user_keys[0])
        return cookie.set_cookie(self._names.last_user, mark, self._names, max_age=self._settings.absolute_lifetime * 4)

    def _somebody_else(self, cookies: Sequence[str], previous: UserId | None, user_id: UserId) -> bool:
        """Whether another user was here before: by their session, or by the mark that outlives it."""
        if previous is not None and previous != user_id:
            return True
        try:
            mark = cookie.one(cookies, self._names.last_user)
        except cookie.Ambiguous:
            return True
        marks = [self._mark_of(user_id, key) for key in self._user_keys]
        return mark is not None and not any(hmac.compare_digest(mark.encode(), own.encode()) for own in marks)

    def _mark_of(self, user_id: UserId, key: bytes) -> str:
        return cookie.to_text(hmac.new(key, user_id.bytes, sha256).digest()[:16])

    def _old_session(self, cookies: Sequence[str]) -> bytes | None:
        try:
            cookie_id = cookie.session_id(cookies, self._names)
        except cookie.Ambiguous:
            return None
        return self._sessions.hash_of(cookie_id) if cookie_id is not None else None

    async def _identity(self, cookies: Sequence[str]) -> Identity | None:
        try:
            return await self._sessions.identify(cookies)
        except (NotSignedIn, SignInUnavailable):
            return None

    async def _already(self, cookies: Sequence[str], next_path: str, otherwise: Kind | SignInFailed) -> web.Response:
        """On to `next_path` for who is signed in anyway; the failure for everybody else."""
        if await self._identity(cookies) is not None:
            return _go(next_path)
        raise otherwise if isinstance(otherwise, SignInFailed) else SignInFailed(otherwise)


def _for_google(query: Mapping[str, str]) -> dict[str, str]:
    """What of our query may travel on to Google."""
    passed = {}
    hint, prompt = query.get("login_hint", ""), query.get("prompt", "")
    if 0 < len(hint) <= MAX_HINT and hint.isprintable():
        passed["login_hint"] = hint
    if prompt in PROMPTS:
        passed["prompt"] = prompt
    return passed


def _cookie_headers(request: web.BaseRequest) -> list[str]:
    return request.headers.getall("Cookie", [])


def _go(where: str, *, set_cookies: Sequence[str] = (), clear_site_data: bool = False) -> web.Response:
    """303 to `where`, which is sent as it is: not parsed and put together again."""
    response = web.Response(status=303, headers={**_PRIVATE, "Location": where})
    for value in set_cookies:
        response.headers.add("Set-Cookie", value)
    if clear_site_data:
        response.headers["Clear-Site-Data"] = CLEAR_SITE_DATA
    return response
