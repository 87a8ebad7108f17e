"""Who gets in, by which proof, and to whose machine."""

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.journeys.conftest import Visit
from tests.journeys.visitor import FETCH, PAGE, Visitor, access_token, websocket
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System

BEARER_FORGED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiI2ZjFjMWYwZS03YzFmLTRkMGEtOWMzNy0zYThiMmQ2YzVlMDEifQ."


def headers_at_the_app(answer: httpx.Response) -> dict[str, str]:
    """Header fields as the App saw them, names in lower case."""
    assert answer.status_code == 200, answer.text
    return {name.lower(): value for name, value in answer.json()["headers"]}


def assert_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert "no-store" in answer.headers["Cache-Control"]


async def test_signing_up_leads_to_a_process_of_ones_own(dev: System) -> None:
    """I click once, am sent to Google and back, and what answers is a Jarvis that knows me."""
    async with Visitor("grace@example.com", dev.public) as grace:
        answer = await grace.sign_in("/env?from=google")
        way = [hop.url.path for hop in answer.history]
        assert way[0] == "/auth/login"
        assert way[-1] == "/auth/callback"
        assert answer.url == f"{dev.public}/env?from=google"
        told = answer.json()
    assert told["USER_EMAIL"] == "grace@example.com"
    assert told["INSTANCE_TYPE"] == "user"
    assert "JARVIS_GUARD_KEYS" not in told["names"]


async def test_two_users_have_two_machines_and_never_each_others_bytes(dev: System, visit: Visit) -> None:
    """What I keep in my Jarvis is on my own disk, behind my own process."""
    ada, bob = await visit("ada", at=dev), await visit("bob", at=dev)
    hers, his = await ada.env(), await bob.env()
    for own in ("pid", "DATA_DIR", "USER_ID", "USER_EMAIL"):
        assert hers[own] != his[own]
    await ada.http.post("/write", params={"name": "diary", "text": "only mine"})
    assert (await ada.http.get("/read", params={"name": "diary"})).text == "only mine"
    assert (await bob.http.get("/read", params={"name": "diary"})).status_code == 404


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", FETCH),
        ("GET", {"Accept": "*/*"}),
        ("POST", FETCH),
        ("POST", {"Accept": "text/html"}),
        ("GET", {"Accept": "text/html", "Sec-Fetch-Mode": "cors"}),
        ("GET", {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}),
        ("GET", {"Accept": "text/event-stream"}),
        ("DELETE", {}),
    ],
)
async def test_a_call_by_a_stranger_is_told_so_in_json(dev: System, method: str, headers: dict[str, str]) -> None:
    """My script gets a 401 it can read, never a sign-in page where it expected data."""
    async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, headers=headers) as stranger:
        for path in ("/api/notes", "/", "/_gateway/instance"):
            answer = await stranger.request(method, path)
            if path.startswith("/_gateway") and method != "GET":
                assert_problem(answer, 404)
            else:
                assert_problem(answer, 401)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_page_opened_by_a_stranger_leads_to_sign_in_and_back(dev: System) -> None:
    """A bookmark deep in my Jarvis survives signing in."""
    async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, headers=PAGE) as stranger:
        landing = await stranger.get("/")
        assert (landing.status_code, landing.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        answer = await stranger.get("/notes?tag=a%20b")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/auth/login?next=%2Fnotes%3Ftag%3Da%2520b"


async def test_a_strangers_websocket_is_refused_before_the_upgrade(dev: System) -> None:
    """A WebSocket client sees a plain 401, not a connection that closes at once."""
    with pytest.raises(InvalidStatus) as refused:
        async with websocket(dev.public, "/ws", {}):
            pass
    response = refused.value.response
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_a_supabase_access_token_opens_ones_own_machine_without_a_cookie(dev: System) -> None:
    """My program signs in at Supabase by itself and reaches the same Jarvis as my browser, by HTTP and WebSocket."""
    email = "program@example.com"
    token = await access_token(
        dev.auth, dev.secrets["publishable_key"], email=email, back_to=f"{dev.public}/auth/callback?s=x"
    )
    bearer = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=dev.public, trust_env=False, verify=NO_TLS, headers=bearer, timeout=45
    ) as program:
        answer = await program.get("/env")
        assert answer.status_code == 200, answer.text
        assert answer.json()["USER_EMAIL"] == email
        assert "set-cookie" not in answer.headers
        assert "authorization" not in headers_at_the_app(await program.get("/headers"))
    async with websocket(dev.public, "/ws", bearer) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
    async with Visitor(email, dev.public) as browser:
        assert (await browser.sign_in()).json()["pid"] == answer.json()["pid"]


@pytest.mark.parametrize("token", [BEARER_FORGED, "nonsense"])
async def test_a_bad_bearer_token_opens_nothing(dev: System, token: str) -> None:
    """Whoever makes up a token is nobody."""
    async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, headers=FETCH) as stranger:
        assert_problem(await stranger.get("/env", headers={"Authorization": f"Bearer {token}"}), 401)


async def test_a_tampered_access_token_opens_nothing(dev: System) -> None:
    """A token with another name in it is worth nothing without a new signature."""
    token = await access_token(
        dev.auth, dev.secrets["publishable_key"], email="eve@example.com", back_to=f"{dev.public}/auth/callback?s=x"
    )
    head, body, signature = token.split(".")
    broken = ("A" if signature[9] != "A" else "B").join((signature[:9], signature[10:]))
    async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, headers=FETCH) as stranger:
        for tried in (f"{head}.{body}.{broken}", f"{head}.{body}."):
            assert_problem(await stranger.get("/env", headers={"Authorization": f"Bearer {tried}"}), 401)


async def test_an_authorization_of_the_apps_own_passes_beside_the_cookie(dev: System, visit: Visit) -> None:
    """My App may have passwords of its own; the gateway carries them."""
    ada = await visit("ada", at=dev)
    for foreign in ("Basic YWRhOnB3", "Bearer sk-of-my-own-app", "Token abc", "AWS4-HMAC-SHA256 x=y"):
        answer = await ada.http.get("/headers", headers={**FETCH, "Authorization": foreign})
        assert headers_at_the_app(answer)["authorization"] == foreign
