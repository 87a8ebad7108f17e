"""The account pages: apart from everybody's Machine, with a sign-in of their own."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode
from uuid import uuid4

import asyncpg
import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.journeys.conftest import Visit
from tests.journeys.visitor import FETCH, PAGE, Operator, Visitor
from tests.parts.account import AccountVisitor, account_of
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System


@pytest.fixture(autouse=True)
async def plenty(dev: System) -> None:
    """As many sign-ins as these tests need, from one address: Supabase's limit is not what they are about."""
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
        (await http.delete(f"{dev.auth}/_local/requests")).raise_for_status()


@pytest.fixture
async def ada(dev: System, visit: Visit) -> Visitor:
    """Signed in at her App."""
    return await visit("ada", at=dev)


@pytest.fixture
async def her(dev: System, ada: Visitor) -> AsyncIterator[AccountVisitor]:
    """Ada at her account pages."""
    async with AccountVisitor(ada.email, dev.public) as her:
        assert (await her.sign_in()).status_code == 200
        yield her


@pytest.fixture(scope="module")
def address() -> str:
    """Grace's, for tests that change nothing of hers: her Machine is made for the first of them, and is there then."""
    return f"grace-{uuid4().hex[:8]}@example.com"


@pytest.fixture
async def grace(dev: System, address: str) -> AsyncIterator[Visitor]:
    """Signed in at her App."""
    async with Visitor(address, dev.public) as grace:
        assert (await grace.sign_in()).status_code == 200
        yield grace


@pytest.fixture
async def graces(dev: System, address: str) -> AsyncIterator[AccountVisitor]:
    """Grace at her account pages."""
    async with AccountVisitor(address, dev.public) as graces:
        assert (await graces.sign_in()).status_code == 200
        yield graces


async def test_my_account_pages_have_a_sign_in_and_cookies_of_their_own(dev: System, grace: Visitor) -> None:
    """Being signed in at my Jarvis opens nothing there, and the other way round."""
    async with AccountVisitor(grace.email, dev.public) as her:
        assert "Sign in" in await her.page("/")
        cookie = {"Cookie": grace.cookie + "; " + grace.cookie.replace("jarvis=", "jarvis-account=")}
        strange = await her.http.get("/sessions", headers=cookie, follow_redirects=False)
        assert strange.headers["Location"] == "/auth/login?next=%2Fsessions"
        signed_in = await her.sign_in("/sessions")
        assert str(signed_in.url) == f"{her.origin}/sessions"
        (own,) = [cookie for cookie in her.http.cookies.jar if cookie.name == "jarvis-account"]
        for name in ("jarvis", "jarvis-account"):
            async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
                answer = await http.get(f"{dev.public}/env", headers={**FETCH, "Cookie": f"{name}={own.value}"})
            assert answer.status_code == 401


async def test_nothing_asked_of_the_account_host_reaches_a_machine(dev: System, grace: Visitor) -> None:
    """However the host is spelled, and whatever cookie comes with it, on the fast lane or off it."""
    host = account_of(dev.public).removeprefix("http://")
    name = host.partition(":")[0]
    async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS) as http:
        for _ in range(3):  # then the lane knows her
            assert (await http.get("/env", headers={"Cookie": grace.cookie})).status_code == 200
        for spelled in (host, host.upper(), name, f"{name}.", f"{name}.:80", f"{name}:1"):
            for path in ("/env", "/echo", "/headers", "/_gateway/instance"):
                answer = await http.get(path, headers={"Host": spelled, "Cookie": grace.cookie})
                assert answer.status_code == 404, (spelled, path, answer.text)
        absolute = f"GET http://{host}/env HTTP/1.1\r\nHost: x\r\nCookie: {grace.cookie}\r\nConnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", int(dev.public.rpartition(":")[2]))
        writer.write(absolute.encode())
        assert (await reader.read()).split(b" ")[1] == b"404"
        writer.close()
        await writer.wait_closed()


async def test_nothing_on_the_public_host_can_delete_export_or_mint(dev: System, grace: Visitor) -> None:
    """The same paths there are my App's, which answers or not, and the gateway does nothing."""
    before = await _audit(dev, grace)
    for path in ("/delete", "/export", "/tokens/new", "/sessions/end-all"):
        await grace.http.post(path, data={"confirm": grace.email, "name": "x", "days": "90", "scope": "app"})
    for path in ("/_gateway/delete", "/_gateway/export", "/_gateway/tokens", "/auth/tokens"):
        answer = await grace.http.post(path, headers={**PAGE, "Origin": dev.public})
        assert answer.status_code == 404
    assert await _audit(dev, grace) == before
    assert (await grace.env())["USER_EMAIL"] == grace.email


async def test_the_pages_are_strict_about_who_frames_opens_and_reads_them(graces: AccountVisitor) -> None:
    """No script, no frame, no window handle, no type guessing, nothing kept in a cache."""
    for path in ("/", "/plan", "/sessions", "/tokens", "/data", "/goodbye"):
        headers = (await graces.http.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


FORMS = (
    "/restart",
    "/keep-awake",
    "/sessions/end",
    "/sessions/end-all",
    "/tokens/new",
    "/tokens/end",
    "/export",
    "/delete",
    "/auth/logout",
)


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_that_our_own_page_did_not_show_does_nothing(
    dev: System, graces: AccountVisitor, grace: Visitor, path: str
) -> None:
    """Each of the two checks alone refuses: where it comes from, and the token that only my own page has."""
    fields = {
        "csrf": await graces.csrf(),
        "hours": "1",
        "confirm": grace.email,
        "name": "x",
        "days": "90",
        "scope": "app",
    }
    before = await _audit(dev, grace)
    for headers in (
        {"Origin": dev.public},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none", "Origin": ""},
        {"Sec-Fetch-Site": "", "Origin": ""},
        {"Origin": graces.origin + ".evil.example"},
    ):
        assert (await graces.send(path, fields, **headers)).status_code == 403, headers
    async with AccountVisitor(grace.email, dev.public) as elsewhere:
        await elsewhere.sign_in()
        for csrf in ("", "x", await elsewhere.csrf(), fields["csrf"][:-1], fields["csrf"] + "A"):
            assert (await graces.send(path, {**fields, "csrf": csrf})).status_code == 403, csrf
    written = urlencode(fields)
    for kind, text in (("application/json", json.dumps(fields)), ("text/plain", written), ("", written)):
        own = {"Origin": graces.origin, "Sec-Fetch-Site": "same-origin", "Content-Type": kind}
        assert (await graces.http.post(path, content=text, headers=own)).status_code == 403, kind
    assert (await graces.http.get(path)).status_code == 404
    assert await _audit(dev, grace) == before
    assert "Firefox on Linux" in await graces.page("/sessions")


async def test_a_page_is_read_by_nobody_but_the_person(graces: AccountVisitor) -> None:
    """A frame, a script or an image of another origin gets a refusal instead of my page."""
    for site in ("same-site", "cross-site"):
        for mode, dest in (("navigate", "iframe"), ("no-cors", "script"), ("cors", "empty"), ("no-cors", "image")):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
            assert (await graces.http.get("/data", headers=headers)).status_code == 403
    assert (await graces.http.get("/data", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200  # a link


async def test_i_see_my_sessions_and_end_one_of_them_open_tabs_included(her: AccountVisitor, ada: Visitor) -> None:
    """The laptop I left behind is signed out within five seconds, its open tab too."""
    page = await her.page("/sessions")
    assert page.count("this one") == 1
    assert "Firefox on Linux" in page
    (row,) = re.findall(r"python-httpx.*?name=\"session\" value=\"([0-9a-f]{64})\"", page, re.DOTALL)
    async with ada.websocket() as socket:
        await socket.send("still here")
        assert await socket.recv() == "still here"
        answer = await her.press("/sessions/end", session=row)
        assert "That session is signed out." in answer.text
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
    assert (await ada.http.get("/env", headers=FETCH)).status_code == 401
    assert "python-httpx" not in await her.page("/sessions")


async def test_another_users_session_is_not_mine_to_end(dev: System, her: AccountVisitor, visit: Visit) -> None:
    """Even who knows what a session is called cannot end it."""
    bob = await visit("bob", at=dev)
    async with AccountVisitor(bob.email, dev.public) as his:
        await his.sign_in()
        rows = re.findall(r'name="session" value="([0-9a-f]{64})"', await his.page("/sessions"))
        assert len(rows) == 2
        for row in rows:
            assert "It had ended already." in (await her.press("/sessions/end", session=row)).text
        assert "this one" in await his.page("/sessions")
    assert (await bob.env())["USER_EMAIL"] == bob.email


async def test_signing_out_everywhere_ends_every_session_of_mine(her: AccountVisitor, ada: Visitor) -> None:
    answer = await her.press("/sessions/end-all")
    assert "You are signed out of these pages" in answer.text
    assert (await ada.http.get("/env", headers=FETCH)).status_code == 401
    assert not [cookie for cookie in her.http.cookies.jar if cookie.name == "jarvis-account"]


async def test_signing_out_of_the_account_pages_leaves_my_jarvis_open(her: AccountVisitor, ada: Visitor) -> None:
    await her.press("/auth/logout")
    assert "Sign in" in await her.page("/")
    assert (await ada.env())["USER_EMAIL"] == ada.email


async def test_the_first_page_says_how_my_machine_is_and_does_not_wake_it(
    her: AccountVisitor, ada: Visitor, operator: Operator
) -> None:
    assert "Your machine is on." in await her.page("/")
    await operator.act(ada.email, "suspend")
    assert "asleep" in await her.page("/")
    assert (await operator.show(ada.email))["state"] == "suspended"


async def _audit(dev: System, somebody: Visitor) -> list[str]:
    """Everything that was done about them, but for steps of their Machine's life."""
    connection = await asyncpg.connect(dev.database)
    try:
        rows = await connection.fetch(
            "select a.action from gateway.audit_log a join public.user_instances i using (user_id)"
            " where i.email = $1 and a.to_state is null order by a.id",
            somebody.email,
        )
        return [row["action"] for row in rows]
    finally:
        await connection.close()
