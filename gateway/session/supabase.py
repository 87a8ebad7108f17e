"""The few words we exchange with Supabase Auth, spoken through its own library in the one safe way.

The library's client remembers the last session it saw and would mix users (facts: two logins through one client), so
every call gets a fresh one, over one shared pool of connections, without timers and without storage. Only
`supabase_auth` is imported: the whole `supabase` package costs 5 MB and loads data, storage and realtime clients.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import httpx
import structlog
from pydantic import ValidationError
from supabase_auth import AsyncGoTrueClient
from supabase_auth.errors import AuthApiError, AuthError, AuthRetryableError
from supabase_auth.types import AuthResponse

from gateway.session.identity import SessionError
from gateway.session.sender import plain_address

T = TypeVar("T")
USER_AGENT: Final = "my-jarvis-gateway"  # never a browser's: Supabase refuses secret keys from those
SESSION_IS_DEAD: Final = frozenset(
    {
        "refresh_token_not_found",
        "refresh_token_already_used",
        "session_not_found",
        "session_expired",
        "user_banned",
        "user_not_found",
        "validation_failed",  # of a refresh token: malformed, so never valid
    }
)
USER_IS_GONE: Final = frozenset({"user_banned", "user_not_found"})
"""Then it is not this session alone that is dead."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Granted:
    """What Supabase hands out. Not verified yet."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


class SupabaseRefused(SessionError):
    """A clear no. `code` is one of Supabase's error codes, or "" if it gave none."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"{status} {code or 'without a code'}")
        self.code, self.status = code, status


class SessionDead(SupabaseRefused):
    """This session will never be refreshed again: signed out, revoked, banned, deleted or timed out."""


class TooMany(SupabaseRefused):
    """Supabase's rate limit. Nothing was done. `retry_after` in seconds, if it said so."""

    def __init__(self, code: str, status: int, *, retry_after: float | None) -> None:
        super().__init__(code, status)
        self.retry_after = retry_after


class Contended(SupabaseRefused):
    """Somebody else works on the same session, or Supabase stumbled: ask again once, soon."""


class SupabaseSilent(SessionError):
    """No answer, or none of Supabase Auth's own. Whether it acted is unknown; refreshing again is safe."""


class SupabaseAuth:
    """Supabase Auth as the gateway needs it. Safe for any number of concurrent calls."""

    def __init__(self, auth_url: str, *, publishable_key: str, secret_key: str | None, http: httpx.AsyncClient) -> None:
        """`http` is the shared pool and stays the caller's to close: the library's `close()` would close it."""
        self._url, self._http = auth_url, http
        self._key, self._may_forward = secret_key or publishable_key, secret_key is not None

    def authorize_url(self, *, redirect_to: str, challenge: str, extra: dict[str, str]) -> str:
        """Where to send a browser to sign in with Google. `extra` is passed on to Google."""
        query = {
            **extra,
            "provider": "google",
            "redirect_to": redirect_to,
            "code_challenge": challenge,
            "code_challenge_method": "s256",
        }
        return f"{self._url}/authorize?{urlencode(query)}"

    async def check_health(self) -> None:
        """Return if it answers. Raises SupabaseSilent if not.

        Only silence and 5xx count: a refusal is an answer too, and no reason to send nobody there.
        """
        try:
            answer = await self._http.get(f"{self._url}/health", headers={"apikey": self._key})
        except httpx.HTTPError as silent:
            raise SupabaseSilent(f"no answer ({type(silent).__name__})") from silent
        if answer.status_code >= 500:
            raise SupabaseSilent(f"no answer ({answer.status_code})")

    async def exchange(self, code: str, verifier: str, *, user_ip: str | None) -> Granted:
        """The tokens for a code that came back from Google. Works once.

        Raises SupabaseRefused, TooMany, SupabaseSilent (then the code may be gone: start again).
        """
        client = self._client(user_ip)
        answer = await _asked(lambda: client.exchange_code_for_session({"auth_code": code, "code_verifier": verifier}))
        return _granted(answer)

    async def refresh(self, refresh_token: str, *, user_ip: str | None) -> Granted:
        """The next tokens of a session.

        Raises SessionDead, TooMany, Contended, SupabaseSilent, or SupabaseRefused for what none of these says.
        """
        client = self._client(user_ip)
        return _granted(await _asked(lambda: client.refresh_session(refresh_token)))

    async def sign_out(self, access_token: str, scope: Literal["local", "global"] = "local") -> None:
        """End this one session at Supabase, or ("global") all of its user's.

        Raises SessionDead if it was over already (also: the token expired), else as `refresh`.
        """
        client = self._client(None)
        await _asked(lambda: client.admin.sign_out(access_token, scope))

    @property
    def may_delete(self) -> bool:
        """Whether a secret key is configured."""
        return self._may_forward

    async def delete_user(self, user_id: UUID) -> None:
        """Delete the account at Supabase; one that is gone already is success. Needs the secret key.

        Raises SupabaseRefused, TooMany, Contended, SupabaseSilent.
        """
        # The library's own `admin.delete_user` keeps the header of whoever made the client, so it is asked plainly.
        headers = {"apikey": self._key, "Authorization": f"Bearer {self._key}"}
        try:
            answer = await self._http.delete(f"{self._url}/admin/users/{user_id}", headers=headers)
        except httpx.HTTPError as silent:
            raise SupabaseSilent(f"no answer ({type(silent).__name__})") from silent
        if answer.status_code == 404 or answer.is_success:
            return
        if answer.status_code == 429:
            raise TooMany("", 429, retry_after=None)
        if answer.status_code >= 500:
            raise SupabaseSilent(f"no answer ({answer.status_code})")
        raise SupabaseRefused("", answer.status_code)

    def _client(self, user_ip: str | None) -> AsyncGoTrueClient:
        headers = {"apikey": self._key, "User-Agent": USER_AGENT}
        if self._may_forward and (address := plain_address(user_ip)) is not None:
            headers["Sb-Forwarded-For"] = address
        return AsyncGoTrueClient(
            url=self._url,
            headers=headers,
            http_client=self._http,
            flow_type="pkce",
            auto_refresh_token=False,
            persist_session=False,
        )


def pool(*, timeout: timedelta) -> httpx.AsyncClient:
    """The one pool of connections for Supabase Auth. Follows no redirects: an API has none to give."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(timeout.total_seconds(), connect=3),
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=30),
        headers={"User-Agent": USER_AGENT},
        trust_env=False,
    )


def _granted(answer: AuthResponse) -> Granted:
    if answer.session is None:
        raise SupabaseSilent("an answer without a session")
    return Granted(answer.session.access_token, answer.session.refresh_token)


async def _asked(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of one call, its failure in our words."""
    try:
        return await call()
    except AuthRetryableError as silent:
        raise SupabaseSilent(f"no answer ({silent.status or type(silent.__cause__).__name__})") from silent
    except AuthApiError as refused:
        raise _word_for(refused) from refused
    except (AuthError, ValidationError) as odd:  # not JSON, or JSON of another shape
        raise SupabaseSilent(f"an answer that is not Supabase's ({type(odd).__name__})") from odd


def _word_for(refused: AuthApiError) -> SessionError:
    code, status = str(refused.code or ""), refused.status
    if status == 429:
        return TooMany(code, status, retry_after=_retry_after(refused))
    if code in SESSION_IS_DEAD:
        return SessionDead(code, status)
    if status == 409 or status >= 500:  # `conflict`, `unexpected_failure`
        return Contended(code, status)
    return SupabaseRefused(code, status)


def _retry_after(refused: AuthApiError) -> float | None:
    """The header the library leaves out of its exception, found through its cause."""
    cause = refused.__cause__
    text = cause.response.headers.get("Retry-After", "") if isinstance(cause, httpx.HTTPStatusError) else ""
    return min(float(text), 300.0) if text.isascii() and text.isdigit() else None
