"""Operators by name: what each role may do, what is kept of a token, and that everything leaves a row."""

from uuid import UUID, uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from structlog.testing import capture_logs

from gateway.admin.rules import RULES, allows
from provisioner.operators import Role, hash_of, is_name, new_token
from tests.parts.admin import AUTH, TOKEN, enlist, listener, trail
from tests.parts.back import Back, somebody

ADA = UUID("6f1c1f0e-7c1f-4d0a-9c37-3a8b2d6c5e66")


def filled(path: str) -> str:
    ids = {"id": ADA, "delivery_id": ADA, "visit_id": ADA}
    return path.format(user_id=ADA, **ids, action="stop", order="pause", name="nobody", verdict="admit")


async def test_every_route_stands_in_the_table_and_every_row_is_a_route(back: Back) -> None:
    """A route that somebody adds is closed to everybody until the table says who may use it."""
    routes = {
        (route.method, route.resource.canonical)
        for route in listener(back).app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert routes == set(RULES)


def test_a_call_as_it_is_sent_is_judged_by_its_row() -> None:
    """So the dashboard shows a button to whom the API lets press it."""
    for (method, path), rule in RULES.items():
        for role in Role:
            assert allows(role, method, filled(path)) is (rule.least is None or role.covers(rule.least)), path
    assert not allows(Role.OWNER, "GET", "/v1/nothing")
    assert not allows(Role.OWNER, "PATCH", "/v1/rollout")


async def test_a_route_that_is_not_in_the_table_is_closed_to_owners_too(back: Back) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise AssertionError("it was asked")

    server = listener(back)
    server.app.router.add_get("/v1/fresh", handler)
    async with TestClient(server) as client:
        assert (await client.get("/v1/fresh", headers=AUTH)).status == 403
        assert (await client.get("/v1/fresh")).status == 401


@pytest.mark.parametrize("role", Role)
async def test_a_role_may_do_what_the_table_says_and_nothing_else(admin: TestClient, role: Role) -> None:
    token = await enlist(admin, "ada", role)
    for (method, path), rule in RULES.items():
        if rule.least is None:
            continue
        answer = await admin.request(method, filled(path), headers=token)
        may = role.covers(rule.least)
        assert (answer.status != 403) is may, (method, path)
        assert answer.status != 401


async def test_roles_cover_those_before_them() -> None:
    assert [[one.covers(other) for other in Role] for one in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


async def test_the_bootstrap_token_is_an_owners(admin: TestClient) -> None:
    for (method, path), rule in RULES.items():
        if rule.least is None:
            continue
        assert (await admin.request(method, filled(path), headers=AUTH)).status not in (401, 403)


async def test_a_token_is_shown_once_and_only_its_hash_is_kept(back: Back, admin: TestClient) -> None:
    """Whoever reads the table, its backup or the API's list can operate nothing."""
    token = (await enlist(admin, "ada", "owner"))["Authorization"].removeprefix("Bearer ")
    assert len(token) == len(new_token()) >= 40
    row = await back.pool.fetchrow("select * from gateway.operators")
    assert row["token_hash"] == hash_of(token)
    assert token not in str(dict(row))
    listed = await (await admin.get("/v1/operators", headers=AUTH)).text()
    assert '"ada"' in listed
    assert token not in listed
    assert hash_of(token).hex() not in listed
    for shown in (hash_of(token).hex(), "jvo_" + hash_of(token).hex(), token[:-1], token + "x"):
        assert (await admin.get("/v1/instances", headers={"Authorization": f"Bearer {shown}"})).status == 401


async def test_a_revoked_token_opens_nothing_from_the_next_request_on(admin: TestClient) -> None:
    token = await enlist(admin, "ada", "operator")
    assert (await admin.get("/v1/instances", headers=token)).status == 200
    gone = await admin.delete("/v1/operators/ada", headers=AUTH)
    assert (gone.status, bool((await gone.json())["revoked_at"])) == (200, True)
    assert (await admin.get("/v1/instances", headers=token)).status == 401


async def test_a_name_is_never_given_away_again(admin: TestClient) -> None:
    """Or old rows of the audit log would name the wrong one."""
    await enlist(admin, "ada", "viewer")
    await admin.delete("/v1/operators/ada", headers=AUTH)
    for name in ("ada", "admin"):
        answer = await admin.post("/v1/operators", headers=AUTH, json={"name": name, "role": "viewer"})
        assert answer.status == 409, name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"name": "ada"}',
        b'{"name": "ada", "role": "god"}',
        b'{"name": "Ada", "role": "viewer"}',
        b'{"name": "", "role": "viewer"}',
        b'{"name": ["ada"], "role": "viewer"}',
        b'{"name": "ada", "role": ["viewer"]}',
        b'{"name": "a\\nb", "role": "viewer"}',
    ],
)
async def test_what_is_no_operator_is_refused(admin: TestClient, body: bytes) -> None:
    answer = await admin.post("/v1/operators", headers=AUTH, data=body)
    assert answer.status == 400
    assert (await (await admin.get("/v1/operators", headers=AUTH)).json()) == {"operators": []}


def test_names_are_plain() -> None:
    assert is_name("ada.l-1_x")
    assert not any(map(is_name, ["", "Ada", "a" * 41, "1a", "a b", "ä", "a\n", None]))


async def test_nobody_becomes_owner_by_an_update(back: Back, admin: TestClient) -> None:
    """Not even with the gateway's own database role."""
    await enlist(admin, "ada", "viewer")
    for change in ("set role = 'owner'", "set token_hash = sha256('x')", "set name = 'eve'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await back.pool.execute(f"update gateway.operators {change}")


async def test_every_call_leaves_a_row_that_names_who_made_it(admin: TestClient) -> None:
    """Also what was only looked at, and what was refused."""
    viewer = await enlist(admin, "vera", "viewer")
    await admin.get(f"/v1/instances/{ADA}", headers=viewer)
    await admin.delete(f"/v1/instances/{ADA}", headers=viewer)
    await admin.post(f"/v1/instances/{ADA}/stop", headers=AUTH)
    seen = [(row["actor"], row["action"], row["detail"]["path"]) for row in await trail(admin, user=str(ADA))]
    path = f"/v1/instances/{ADA}"
    assert seen == [
        ("operator:admin", "admin_read", "/v1/audit"),
        ("operator:admin", "admin_asked", f"{path}/stop"),
        ("operator:vera", "admin_refused", path),
        ("operator:vera", "admin_read", path),
    ]


async def test_looking_again_and_again_is_one_look(admin: TestClient) -> None:
    """A dashboard that polls does not bury what matters."""
    for _ in range(5):
        await admin.get("/v1/instances", headers=AUTH)
    assert [row["action"] for row in await trail(admin)] == ["admin_read", "admin_read"]


async def test_what_cannot_be_written_down_does_not_happen(back: Back, admin: TestClient) -> None:
    """No action without its row: with the log closed, nothing is made."""
    owner = await asyncpg.connect(back.database.admin_dsn)
    await owner.execute("revoke insert on gateway.audit_log from jarvis_gateway")
    await owner.close()
    with capture_logs():
        answer = await admin.post("/v1/operators", headers=AUTH, json={"name": "ada", "role": "owner"})
    assert answer.status == 500
    assert await back.pool.fetchval("select count(*) from gateway.operators") == 0


async def test_steps_are_written_under_the_operators_name(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    token = await enlist(admin, "olga", "operator")
    assert (await admin.post(f"/v1/instances/{ada.user_id}/stop", headers=token)).status == 200
    rows = await trail(admin, user=str(ada.user_id))
    assert {row["actor"] for row in rows if row["to_state"] == "stopped"} == {"operator:olga"}


@pytest.mark.parametrize("query", ["limit=0", "user=ada", "since=yesterday", "since=2026-01-01", "before=x"])
async def test_a_bad_question_to_the_log_is_told(admin: TestClient, query: str) -> None:
    assert (await admin.get(f"/v1/audit?{query}", headers=AUTH)).status == 400


async def test_the_log_in_pages(back: Back, admin: TestClient) -> None:
    for number in range(5):
        await back.store.append_audit("test", f"step {number}", None)
    first = await (await admin.get("/v1/audit?limit=3", headers=AUTH)).json()
    rest = await (await admin.get(f"/v1/audit?limit=3&before={first['next']}", headers=AUTH)).json()
    assert [row["id"] for row in first["entries"] + rest["entries"]] == [6, 5, 4, 3, 2, 1]


async def test_a_refused_token_is_logged_without_itself(admin: TestClient) -> None:
    with capture_logs() as lines:
        await admin.get("/v1/instances", headers={"Authorization": "Bearer jvo_" + uuid4().hex})
    assert [line["event"] for line in lines] == ["admin_refused"]
    assert "jvo_" not in str(lines)
    assert TOKEN not in str(lines)
