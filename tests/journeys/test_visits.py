"""An operator opens my machine: for a reason, for minutes, before my eyes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.journeys.conftest import Visit
from tests.journeys.test_account import ada, her, plenty
from tests.journeys.test_signing_in import assert_problem, headers_at_the_app
from tests.journeys.visitor import FETCH, Operator, Visitor
from tests.parts.account import AccountVisitor
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System, until

__all__ = ["ada", "her", "plenty"]  # fixtures

REASON = "Ticket 4711: your chat does not start"


class Sam:
    """An operator, and a browser of theirs."""

    def __init__(self, dev: System, name: str, admin: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
        self.dev, self.name, self.admin, self.browser = dev, name, admin, browser

    async def ask(self, user_id: str, *, reason: str = REASON, minutes: int = 10) -> httpx.Response:
        return await self.admin.post(f"/v1/instances/{user_id}/visit", json={"reason": reason, "minutes": minutes})

    async def press(self, url: str, **headers: str) -> httpx.Response:
        """The button of the page behind `url`."""
        ticket = httpx.URL(url).params["ticket"]
        origin = {"Origin": self.dev.public, "Accept": "text/html"} | headers
        return await self.browser.post("/auth/visit", data={"ticket": ticket}, headers=origin)

    async def visit(self, user_id: str) -> dict[str, Any]:
        """Inside. What the admin API told of the visit."""
        answer = await self.ask(user_id)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        assert (await self.press(told["url"])).status_code == 303
        return told

    @property
    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"jarvis={self.browser.cookies['jarvis']}"}


@pytest.fixture
async def sam(dev: System, operator: Operator) -> AsyncIterator[Sam]:
    name = f"sam-{uuid4().hex[:8]}"
    made = await operator.http.post("/v1/operators", json={"name": name, "role": "operator"})
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    async with (
        httpx.AsyncClient(base_url=dev.admin, headers=bearer, trust_env=False, verify=NO_TLS, timeout=45) as admin,
        httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, timeout=45) as browser,
    ):
        yield Sam(dev, name, admin, browser)


async def test_an_operator_visits_in_front_of_the_users_eyes(
    dev: System, operator: Operator, sam: Sam, ada: Visitor, her: AccountVisitor
) -> None:
    """They see what I would see; my App hears who it is, and my account pages tell me who, when and why."""
    user_id = await operator.user_id(ada.email)
    told = (await sam.ask(user_id)).json()
    page = await sam.browser.get(told["url"])
    assert page.status_code == 200
    for words in (ada.email, sam.name, REASON, "10 minutes"):
        assert words in page.text
    opened = await sam.press(told["url"])
    assert (opened.status_code, opened.headers["Location"]) == (303, "/")
    assert "HttpOnly" in opened.headers["Set-Cookie"]
    assert "storage" in opened.headers["Clear-Site-Data"]

    for _ in range(3):  # by the core first, then by the fast lane
        seen = headers_at_the_app(await sam.browser.get("/headers", headers=FETCH))
        assert (seen["x-jarvis-user"], seen["x-jarvis-email"]) == (user_id, ada.email)
        assert seen["x-jarvis-operator"] == sam.name
    for _ in range(2):
        own = headers_at_the_app(await ada.http.get("/headers", headers={**FETCH, "X-Jarvis-Operator": "nobody"}))
        assert "x-jarvis-operator" not in own

    shown = await her.page("/visits")
    for words in (sam.name, REASON, "now", "Opened just now", "End it now"):
        assert words in shown
    rows = await operator.rows.fetch(
        "select actor, action from gateway.audit_log where user_id = $1::uuid and action like 'visit%' order by id",
        user_id,
    )
    assert [tuple(row) for row in rows] == [
        (f"operator:{sam.name}", "visit_granted"),
        (f"operator:{sam.name}", "visit_opened"),
    ]
    mine = (await her.press("/export")).json()["visits"]
    assert [(each["operator"], each["reason"]) for each in mine] == [(sam.name, REASON)]
    assert "hash" not in str(mine)


async def test_the_user_ends_a_visit_and_closes_the_door(
    operator: Operator, sam: Sam, ada: Visitor, her: AccountVisitor
) -> None:
    """Within five seconds, open WebSockets included; and nobody comes in again, not even an owner."""
    user_id = await operator.user_id(ada.email)
    for path, fields, said in (("/visits/end", ["visit"], "is over"), ("/visits/forbid", [], "Nobody opens")):
        visit = await sam.visit(user_id)
        guest = Visitor(ada.email, sam.dev.public)
        guest.http.cookies.update(sam.browser.cookies)
        async with guest, guest.websocket() as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
            answer = await her.press(path, **dict.fromkeys(fields, visit["id"]))
            assert said in answer.text
            async with asyncio.timeout(5):
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
        assert_problem(await sam.browser.get("/env", headers=FETCH), 401)
    assert_problem(await sam.ask(user_id), 409)
    owner = await operator.http.post(f"/v1/instances/{user_id}/visit", json={"reason": REASON})
    assert_problem(owner, 409)
    assert "allowed again" in (await her.press("/visits/allow")).text
    assert (await sam.ask(user_id)).status_code == 201
    assert (await ada.env())["USER_EMAIL"] == ada.email


async def test_another_users_visit_is_not_mine_to_end(operator: Operator, sam: Sam, ada: Visitor, visit: Visit) -> None:
    """Even who knows what a visit is called cannot end it."""
    bob = await visit("bob", at=sam.dev)
    hers = await sam.visit(await operator.user_id(ada.email))
    async with AccountVisitor(bob.email, sam.dev.public) as his:
        await his.sign_in()
        assert "is over" not in (await his.press("/visits/end", visit=hers["id"])).text
    assert (await sam.browser.get("/env", headers=FETCH)).status_code == 200


async def test_a_link_opens_one_visit_from_our_own_page_alone(
    operator: Operator, sam: Sam, ada: Visitor, visit: Visit
) -> None:
    """Whoever looks at the link, or sends the form from elsewhere, opens nothing; the second press neither."""
    user_id = await operator.user_id(ada.email)
    url = (await sam.ask(user_id)).json()["url"]
    for _ in range(2):
        assert (await sam.browser.get(url)).status_code == 200
    for origin in ("https://evil.example", sam.dev.public.replace("127.0.0.1", "account.localhost"), "null"):
        assert (await sam.press(url, Origin=origin)).status_code == 403
    assert "jarvis" not in sam.browser.cookies
    # Who was signed in here is so no more: a page of the visited machine must not meet their cookie.
    own = await visit("sam-at-home", at=sam.dev)
    kept = own.cookie
    sam.browser.cookies.update(own.http.cookies)
    assert (await sam.press(url)).status_code == 303
    assert_problem(await own.http.get("/env", headers={**FETCH, "Cookie": kept}), 401)
    assert (await sam.browser.get("/env", headers=FETCH)).json()["USER_EMAIL"] == ada.email
    for stale in (url, url[:-1] + ("A" if url[-1] != "A" else "B"), url.partition("=")[0] + "="):
        assert (await sam.browser.get(stale)).status_code == 410
        assert (await sam.press(stale)).status_code == 410
    answer = await sam.browser.post("/auth/logout", headers={"Origin": sam.dev.public})
    assert answer.status_code == 303
    assert_problem(await sam.browser.get("/env", headers=FETCH), 401)


async def test_no_visit_without_a_reason_or_without_an_end(operator: Operator, sam: Sam, ada: Visitor) -> None:
    user_id = await operator.user_id(ada.email)
    for asked in (
        {},
        {"reason": "short"},
        {"reason": " " * 20},
        {"reason": REASON, "minutes": 61},
        {"reason": REASON, "minutes": 0},
    ):
        assert_problem(await sam.admin.post(f"/v1/instances/{user_id}/visit", json=asked), 400)


async def test_a_visit_ends_with_its_operators_token(operator: Operator, sam: Sam, ada: Visitor) -> None:
    """Who may not operate any more is out of my machine too. Any operator may end a visit."""
    user_id = await operator.user_id(ada.email)
    told = await sam.visit(user_id)
    ended = await operator.http.delete(f"/v1/visits/{told['id']}")
    assert (ended.status_code, ended.json()["ended_by"]) == (200, "operator:admin")
    assert_problem(await operator.http.delete(f"/v1/visits/{told['id']}"), 404)
    await gone(sam)
    await sam.visit(user_id)
    assert (await operator.http.delete(f"/v1/operators/{sam.name}")).status_code == 200
    await gone(sam)
    listed = (await operator.http.get("/v1/visits", params={"user": user_id})).json()["visits"]
    assert [each["ended_by"] for each in listed] == ["revocation of the operator", "operator:admin"]


async def gone(sam: Sam) -> None:
    async def refused() -> bool:
        return (await sam.browser.get("/env", headers=FETCH)).status_code == 401

    await until(refused, within=5)


async def test_a_visit_makes_no_machine_and_opens_no_account_page(
    operator: Operator, sam: Sam, ada: Visitor, her: AccountVisitor
) -> None:
    """An operator inside cannot take my data or delete me, nor bring back what was deleted."""
    user_id = await operator.user_id(ada.email)
    assert_problem(await sam.ask(str(uuid4())), 404)
    await sam.visit(user_id)
    id_ = sam.browser.cookies["jarvis"]
    async with AccountVisitor(ada.email, sam.dev.public) as thief:
        for name in ("jarvis", "jarvis-account"):
            cookie = {"Cookie": f"{name}={id_}"}
            assert "Sign in" in (await thief.http.get("/", headers=cookie)).text
            for path in ("/export", "/delete", "/tokens/new", "/visits/allow"):
                fields = {"csrf": await her.csrf(), "confirm": ada.email, "name": "x", "days": "90", "scope": "app"}
                assert (await thief.send(path, fields, **cookie)).status_code == 401
    await operator.destroy(ada.email)
    answer = await sam.browser.get("/env", headers=FETCH)
    assert answer.status_code in (401, 410)
    assert await operator.user_id(ada.email) == "None"
