"""Taking my data with me, and leaving for good."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import asyncpg
import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from gateway.session.cookie import Realm, hash_of
from tests.journeys.conftest import Visit
from tests.journeys.test_account import ada, plenty
from tests.journeys.test_account_tokens import her
from tests.journeys.test_signing_in import assert_problem
from tests.journeys.visitor import FETCH, Operator, Visitor, access_token
from tests.parts.account import AccountVisitor
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System, until

__all__ = ["ada", "her", "plenty"]  # fixtures


@pytest.fixture
async def auth(dev: System) -> AsyncIterator[httpx.AsyncClient]:
    """The sign-in service, with the service's key and its strings."""
    key = dev.secrets["secret_key"]
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=dev.auth, headers=headers, trust_env=False, verify=NO_TLS) as http:
        yield http
        await http.delete("/_local/faults")


async def test_i_get_everything_that_is_known_about_me_and_no_secret(
    dev: System,
    her: AccountVisitor,
    ada: Visitor,
    visit: Visit,
) -> None:
    bob = await visit("bob", at=dev)
    token = await her.new_token("app")
    answer = await her.press("/export")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    told: dict[str, Any] = answer.json()
    assert told["account"]["email"] == told["instance"]["email"] == ada.email
    assert told["signup"]["status"] == "admitted"
    assert {session["realm"] for session in told["sessions"]} == {"public", "account"}
    assert [each["id"] for each in told["tokens"]] == [token[7:19]]
    assert {"create", "token_made", "data_exported"} <= {row["action"] for row in told["audit"]}
    hashes = (
        hash_of(ada.http.cookies["jarvis"]).hex(),
        hash_of(her.http.cookies["jarvis-account"], Realm.ACCOUNT).hex(),
        sha256(token[20:].encode()).hexdigest(),
    )
    for secret in (token[20:], ada.http.cookies["jarvis"], 'access_token"', "refresh_token", '_hash"', bob.email):
        assert secret not in answer.text
    assert not [each for each in hashes if each in answer.text]


async def test_deleting_asks_for_my_address_and_a_fresh_sign_in(
    dev: System,
    her: AccountVisitor,
    ada: Visitor,
) -> None:
    """Neither a slip nor a laptop left open for an hour deletes anything."""
    for typed in ("", "x", ada.email[:-1], "bob@example.com"):
        answer = await her.press("/delete", confirm=typed)
        assert answer.status_code == 400
        assert "Nothing was deleted" in answer.text
    connection = await asyncpg.connect(dev.database)
    await connection.execute(
        "update gateway.sessions set created_at = created_at - interval '11 minutes' where email = $1", ada.email
    )
    assert "Delete everything" not in await her.page("/data")
    answer = await her.press("/delete", confirm=ada.email)
    assert "sign in again" in answer.text
    assert await connection.fetchval("select count(*) from gateway.deletions where email = $1", ada.email) == 0
    await connection.close()
    assert (await ada.env())["USER_EMAIL"] == ada.email


async def test_after_deleting_nothing_of_mine_is_left_and_nobody_gets_in_as_me(
    dev: System,
    her: AccountVisitor,
    ada: Visitor,
    operator: Operator,
    auth: httpx.AsyncClient,
) -> None:
    """Machine, disk, rows, sessions, tokens and sign-in are gone, a receipt stays; with the sign-in service away it
    is done later. A token of Supabase's that lives on brings nothing back. I may come again, as somebody new."""
    jwt = await access_token(
        dev.auth, dev.secrets["publishable_key"], email=ada.email, back_to=f"{dev.public}/auth/callback?s=x"
    )
    personal, shown = await her.new_token("app"), await operator.show(ada.email)
    user_id = await operator.user_id(ada.email)
    volume = "jarvis_" + shown["machine_name"].rpartition("-")[2]
    await auth.post("/_local/faults", json={"path": "/auth/v1/admin/*", "kind": "status", "status": 503, "times": 99})
    async with ada.websocket() as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        answer = await her.press("/delete", confirm=f" {ada.email.upper()} ")
        assert "Your account is being deleted" in answer.text
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
    assert not [cookie for cookie in her.http.cookies.jar if cookie.name == "jarvis-account"]

    async def put_off() -> Any:
        return await operator.rows.fetchval("select error from gateway.deletions where user_id = $1::uuid", user_id)

    assert "SupabaseSilent" in await until(put_off)
    async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, headers=FETCH) as http:
        assert_problem(await http.get("/env", headers={"Cookie": ada.cookie}), 401)
        assert_problem(await http.get("/env", headers={"Authorization": f"Bearer {personal}"}), 401)
        assert_problem(await http.get("/env", headers={"Authorization": f"Bearer {jwt}"}), 403)
        assert "is being deleted" in (await ada.sign_in()).text

        async def finished() -> Any:
            return await operator.rows.fetchval(
                "select finished_at from gateway.deletions where user_id = $1::uuid and email is null", user_id
            )

        await auth.delete("/_local/faults")
        await until(finished, within=90)
        # Nobody of that name any more or, until Supabase has told every replica so, somebody who may not come in.
        assert (await http.get("/env", headers={"Authorization": f"Bearer {jwt}"})).status_code in (401, 403)
    assert (await auth.get(f"/auth/v1/admin/users/{user_id}")).status_code == 404
    for table in ("public.user_instances", "gateway.sessions", "gateway.access_tokens", "gateway.signups"):
        assert await operator.rows.fetchval(f"select count(*) from {table} where user_id = $1::uuid", user_id) == 0
    assert not await operator.volumes_named(shown["app_name"], volume)
    actions = await operator.rows.fetch(
        "select action from gateway.audit_log where user_id = $1::uuid order by id", user_id
    )
    assert actions[-1]["action"] == "account_deleted"
    assert "deletion_asked" in [row["action"] for row in actions]
    ada.http.cookies.clear()
    assert (await ada.sign_in()).status_code == 200
    assert await operator.user_id(ada.email) != user_id
