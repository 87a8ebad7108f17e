"""Programs of mine, with tokens that I gave them and can take away."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.journeys.conftest import Visit
from tests.journeys.test_account import ada, plenty
from tests.journeys.test_signing_in import assert_problem, headers_at_the_app
from tests.journeys.visitor import FETCH, Operator, Visitor, access_token, websocket
from tests.parts.account import AccountVisitor
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System, until

__all__ = ["ada", "plenty"]  # fixtures


@pytest.fixture
async def her(dev: System, ada: Visitor) -> AsyncIterator[AccountVisitor]:
    async with AccountVisitor(ada.email, dev.public) as her:
        await her.sign_in()
        yield her


def program(dev: System, token: str) -> httpx.AsyncClient:
    headers = {**FETCH, "Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, headers=headers, timeout=45)


async def test_a_token_opens_my_machine_and_my_machine_never_sees_it(
    dev: System, her: AccountVisitor, visit: Visit
) -> None:
    """A program is me, by HTTP and WebSocket; what it proves itself with stays at the gateway, even beside a cookie."""
    token = await her.new_token("app", "read")
    async with program(dev, token) as http:
        assert (await http.get("/env")).json()["USER_EMAIL"] == her.email
        assert (await http.get("/_gateway/instance")).json()["state"] == "active"
        assert token not in (await http.get("/headers")).text
        bob = await visit("bob", at=dev)
        both = await http.get("/headers", headers={"Cookie": bob.cookie})
        assert headers_at_the_app(both)["x-jarvis-email"] == her.email
        assert token not in both.text
        for bad in (token[:-1], token + "A", "jv_pat_", "jv_pat_x"):
            headers = {"Authorization": f"Bearer {bad}", "Cookie": bob.cookie}
            assert_problem(await http.get("/headers", headers=headers), 401)
    async with websocket(dev.public, "/ws", {"Authorization": f"Bearer {token}"}) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"


async def test_a_token_lives_as_long_as_a_choice_of_the_form_and_no_longer(dev: System, her: AccountVisitor) -> None:
    """A form filled in by hand makes none: not for ever, not for a time that is no choice, not for nothing."""
    for days in ("36500", "366", "8", "0", "-7", "9e9", "", "never"):
        answer = await her.press("/tokens/new", name="for ever", days=days, scope=["app"])
        assert answer.status_code == 200
        assert "jv_pat_" not in answer.text
    assert "for ever" not in await her.page("/tokens")


async def test_a_token_is_for_what_it_was_made_for(dev: System, her: AccountVisitor) -> None:
    async with program(dev, await her.new_token("read")) as reader:
        assert (await reader.get("/_gateway/instance")).status_code == 200
        assert_problem(await reader.get("/env"), 403)
    async with program(dev, await her.new_token("app")) as user:
        assert (await user.get("/env")).status_code == 200
        assert_problem(await user.get("/_gateway/instance"), 403)


async def test_a_token_is_shown_once_and_opens_no_account_page(dev: System, her: AccountVisitor) -> None:
    """No program can make tokens, delete me or take my data, not even with a token that may do everything else."""
    token = await her.new_token("app", "read")
    assert token not in await her.page("/tokens")
    assert token[:19] in await her.page("/tokens")
    async with AccountVisitor(her.email, dev.public) as thief:
        bearer = {"Authorization": f"Bearer {token}"}
        fields = {"csrf": await her.csrf(), "confirm": her.email, "name": "x", "days": "90", "scope": "app"}
        for path in ("/tokens/new", "/export", "/delete", "/sessions/end-all"):
            assert (await thief.send(path, fields, **bearer)).status_code == 401
        assert "Sign in" in (await thief.http.get("/", headers=bearer)).text


async def test_a_revoked_token_ends_at_once_with_all_that_it_opened(dev: System, her: AccountVisitor) -> None:
    """The WebSocket of the stolen token closes within five seconds."""
    token = await her.new_token("app")
    async with program(dev, token) as http, websocket(dev.public, "/ws", http.headers) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        answer = await her.press("/tokens/end", token=token[7:19])
        assert "opens nothing any more" in answer.text
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert_problem(await http.get("/env"), 401)


async def test_i_see_when_a_token_was_last_used(dev: System, her: AccountVisitor) -> None:
    token = await her.new_token("app")
    assert "Last used: never" in await her.page("/tokens")
    async with program(dev, token) as http:
        await http.get("/env")

    async def seen() -> bool:
        return "Last used: just now" in await her.page("/tokens")

    await until(seen)


async def test_who_is_suspended_is_out_everywhere_within_five_seconds(
    dev: System,
    her: AccountVisitor,
    ada: Visitor,
    operator: Operator,
) -> None:
    """Sessions, personal tokens and Supabase's own: open streams are cut, and what comes next reads why."""
    jwt = await access_token(
        dev.auth, dev.secrets["publishable_key"], email=ada.email, back_to=f"{dev.public}/auth/callback?s=x"
    )
    personal = await her.new_token("app")
    user_id = await operator.user_id(ada.email)
    bearers = [{"Authorization": f"Bearer {token}"} for token in (jwt, personal)]
    async with (
        ada.websocket() as one,
        websocket(dev.public, "/ws", bearers[0]) as two,
        websocket(dev.public, "/ws", bearers[1]) as three,
    ):
        for socket in (one, two, three):
            await socket.send("hello")
            assert await socket.recv() == "hello"
        answer = await operator.http.post(f"/v1/signups/{user_id}/suspend")
        assert (answer.status_code, answer.json()["status"]) == (200, "suspended")
        async with asyncio.timeout(5):
            for socket in (one, two, three):
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
    async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, headers=FETCH) as http:
        assert_problem(await http.get("/env", headers=bearers[0]), 403)
        assert_problem(await http.get("/env", headers=bearers[1]), 401)
        assert_problem(await http.get("/env", headers={"Cookie": ada.cookie}), 401)
    assert "Your account is suspended" in (await her.sign_in()).text
    assert (await ada.sign_in()).status_code == 403
    answer = await operator.http.post(f"/v1/signups/{user_id}/admit")
    assert answer.status_code == 200
    assert (await ada.sign_in()).status_code == 200
