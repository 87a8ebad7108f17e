"""What goes over the wire to Supabase Auth, and what its answers mean."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from aiohttp import web

from gateway.session.supabase import (
    Contended,
    SessionDead,
    SupabaseAuth,
    SupabaseRefused,
    SupabaseSilent,
    TooMany,
    pool,
)

SESSION = {
    "access_token": "access",
    "refresh_token": "refresh",
    "token_type": "bearer",
    "expires_in": 3600,
    "expires_at": 1_800_000_000,
    "user": {
        "id": "0b6e1a9e-1f4f-4f2e-9c76-2f6f1c1d0a01",
        "aud": "authenticated",
        "app_metadata": {},
        "user_metadata": {},
        "created_at": "2026-01-01T00:00:00Z",
    },
}


@dataclass
class Auth:
    """Answers what it is told to and keeps what it was asked."""

    status: int = 200
    content: Any = field(default_factory=lambda: SESSION)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        raw = await request.read()
        self.asked.append(
            (request.path_qs, {k.lower(): v for k, v in request.headers.items()}, json.loads(raw or b"null"))
        )
        text = self.content if isinstance(self.content, str) else json.dumps(self.content)
        return web.Response(status=self.status, text=text, headers=self.headers)


@pytest.fixture
async def auth() -> AsyncIterator[Auth]:
    auth = Auth()
    runner = web.ServerRunner(web.Server(auth.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    auth.url = f"http://127.0.0.1:{runner.addresses[0][1]}/auth/v1"
    yield auth
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with pool(timeout=timedelta(seconds=2)) as http:
        yield http


def client(auth: Auth, http: httpx.AsyncClient, *, secret: str | None = None) -> SupabaseAuth:
    return SupabaseAuth(auth.url, publishable_key="sb_publishable_x", secret_key=secret, http=http)


async def test_each_call_is_what_the_documents_say(auth: Auth, http: httpx.AsyncClient) -> None:
    supabase = client(auth, http)
    granted = await supabase.exchange("the-code", "the-verifier", user_ip="203.0.113.7")
    await supabase.refresh("old-refresh", user_ip=None)
    auth.status, auth.content = 204, ""
    await supabase.sign_out("access-token")
    [exchange, refresh, sign_out] = auth.asked
    assert (granted.access_token, granted.refresh_token) == ("access", "refresh")
    assert exchange[0] == "/auth/v1/token?grant_type=pkce"
    assert exchange[2] == {"auth_code": "the-code", "code_verifier": "the-verifier"}
    assert (refresh[0], refresh[2]) == ("/auth/v1/token?grant_type=refresh_token", {"refresh_token": "old-refresh"})
    assert sign_out[0] == "/auth/v1/logout?scope=local"
    assert sign_out[1]["authorization"] == "Bearer access-token"
    for _, headers, _ in auth.asked:
        assert headers["apikey"] == "sb_publishable_x"
        assert headers["user-agent"] == "my-jarvis-gateway"
        assert "sb-forwarded-for" not in headers
    assert "authorization" not in exchange[1]
    assert "authorization" not in refresh[1]


async def test_with_a_secret_key_the_users_address_counts(auth: Auth, http: httpx.AsyncClient) -> None:
    """Then one busy user cannot spend the rate limit of all others."""
    await client(auth, http, secret="sb_secret_x").refresh("r", user_ip="203.0.113.7")
    [(_, headers, _)] = auth.asked
    assert (headers["apikey"], headers["sb-forwarded-for"]) == ("sb_secret_x", "203.0.113.7")


async def test_each_users_calls_speak_for_them_alone(auth: Auth, http: httpx.AsyncClient) -> None:
    """The library's client remembers whom it saw last, and what it was made with: no two calls share one."""
    supabase = SupabaseAuth(auth.url, publishable_key="sb_publishable_x", secret_key="sb_secret_x", http=http)
    for number in range(3):
        await supabase.exchange("code", "verifier", user_ip=f"192.0.2.{number}")
        await supabase.refresh("refresh", user_ip=f"198.51.100.{number}")
    told = [headers.get("sb-forwarded-for") for _, headers, _ in auth.asked]
    assert told == [address for n in range(3) for address in (f"192.0.2.{n}", f"198.51.100.{n}")]


async def test_the_pool_survives_every_call(auth: Auth, http: httpx.AsyncClient) -> None:
    """The library would close an injected client; ours is thrown away without."""
    supabase = client(auth, http)
    for _ in range(3):
        await supabase.refresh("r", user_ip=None)
    assert not http.is_closed


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (400, "refresh_token_not_found", SessionDead),
        (400, "refresh_token_already_used", SessionDead),
        (400, "session_not_found", SessionDead),
        (403, "session_not_found", SessionDead),
        (400, "session_expired", SessionDead),
        (400, "user_banned", SessionDead),
        (400, "validation_failed", SessionDead),
        (409, "conflict", Contended),
        (500, "unexpected_failure", Contended),
        (429, "over_request_rate_limit", TooMany),
        (504, "request_timeout", SupabaseSilent),
        (502, "", SupabaseSilent),
        (503, "", SupabaseSilent),
        (522, "", SupabaseSilent),
        (400, "bad_json", SupabaseRefused),
        (401, "", SupabaseRefused),
        (403, "a_code_of_next_year", SupabaseRefused),
        (404, "flow_state_not_found", SupabaseRefused),
    ],
)
@pytest.mark.parametrize("dated", [True, False], ids=["2024-01-01", "old shape"])
async def test_each_error_code_has_its_word(
    auth: Auth, http: httpx.AsyncClient, status: int, code: str, word: type[Exception], dated: bool
) -> None:
    """In both shapes of Supabase's error bodies."""
    auth.status = status
    auth.content = (
        {"code": code or None, "message": "words"} if dated else {"code": status, "error_code": code, "msg": "words"}
    )
    auth.headers = {"X-Supabase-Api-Version": "2024-01-01"} if dated else {}
    with pytest.raises(word) as raised:
        await client(auth, http).refresh("secret-refresh-token", user_ip=None)
    assert type(raised.value) is word
    assert "secret-refresh-token" not in str(raised.value)


@pytest.mark.parametrize(
    ("header", "seconds"), [("17", 17.0), ("99999", 300.0), ("soon", None), ("", None), ("-1", None)]
)
async def test_a_rate_limit_says_when_to_come_back(
    auth: Auth, http: httpx.AsyncClient, header: str, seconds: float | None
) -> None:
    auth.status, auth.content = 429, {"code": "over_request_rate_limit", "message": "slow down"}
    auth.headers = {"Retry-After": header}
    with pytest.raises(TooMany) as limited:
        await client(auth, http).refresh("r", user_ip=None)
    assert limited.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, "<html>captive portal</html>"),
        (200, {}),
        (200, {"access_token": "only"}),
        (200, SESSION["user"]),
        (200, []),
        (400, "<html>"),
        (302, ""),
        (418, "teapot"),
    ],
)
async def test_an_answer_that_is_not_supabases_is_no_answer(
    auth: Auth, http: httpx.AsyncClient, status: int, content: Any
) -> None:
    """A proxy in between, an outage page: nobody is signed out for it."""
    auth.status, auth.content = status, content
    supabase = client(auth, http)
    with pytest.raises(SupabaseSilent):
        await supabase.refresh("r", user_ip=None)
    with pytest.raises(SupabaseSilent):
        await supabase.exchange("c", "v", user_ip=None)


async def test_nobody_there_is_no_answer(http: httpx.AsyncClient) -> None:
    with pytest.raises(SupabaseSilent):
        await client(Auth(url="http://127.0.0.1:1/auth/v1"), http).refresh("r", user_ip=None)


def test_what_is_passed_to_google_cannot_move_the_flow() -> None:
    """Our own parameters win over any of the same name."""
    supabase = SupabaseAuth("https://x.supabase.co/auth/v1", publishable_key="k", secret_key=None, http=None)  # type: ignore[arg-type]
    url = supabase.authorize_url(
        redirect_to="https://us/auth/callback?s=1",
        challenge="c" * 43,
        extra={"provider": "evil", "redirect_to": "https://evil", "login_hint": "a&b=c"},
    )
    query = parse_qs(urlsplit(url).query)
    assert query["provider"] == ["google"]
    assert query["redirect_to"] == ["https://us/auth/callback?s=1"]
    assert query["login_hint"] == ["a&b=c"]
