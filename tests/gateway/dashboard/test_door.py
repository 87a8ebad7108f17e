"""The dashboard's door: a cookie that stands for a token, and is worth nothing to other pages."""

import re

import asyncpg
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from tests.parts.admin import AUTH, TOKEN, enlist
from tests.parts.back import Back, somebody

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


async def enter(admin: TestClient, token: str = TOKEN, **fields: str) -> ClientResponse:
    return await admin.post("/sign-in", data={"token": token, **fields}, allow_redirects=False)


async def csrf(admin: TestClient) -> str:
    found = re.search(r'name="csrf" content="([0-9a-f]{64})"', await (await admin.get("/", headers=PAGE)).text())
    assert found
    return found[1]


async def test_a_stranger_who_navigates_is_shown_the_door_and_a_script_is_told(admin: TestClient) -> None:
    page = await admin.get("/instances?q=x", headers=PAGE, allow_redirects=False)
    assert (page.status, page.headers["Location"]) == (303, "/sign-in?next=%2Finstances%3Fq%3Dx")
    call = await admin.get("/instances", headers={"Accept": "application/json"})
    assert (call.status, call.content_type) == (401, "application/problem+json")


async def test_the_cookie_is_strict_and_the_page_runs_only_our_own_script(admin: TestClient) -> None:
    answer = await enter(admin, next="/audit")
    assert (answer.status, answer.headers["Location"]) == (303, "/audit")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    page = await admin.get("/", headers=PAGE)
    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert (page.headers["Cache-Control"], page.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    text = await page.text()
    assert not re.search(r"<script(?! src=)|\sstyle=|\son\w+=", text)


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "jvo_" + "x" * 43])
async def test_a_token_that_opens_nothing_is_told_and_not_repeated(admin: TestClient, token: str) -> None:
    answer = await enter(admin, token)
    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers
    text = await answer.text()
    assert "opens nothing" in text
    assert not token or token not in text


@pytest.mark.parametrize("there", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x"])
async def test_one_is_led_nowhere_else_after_signing_in(admin: TestClient, there: str) -> None:
    assert (await enter(admin, next=there)).headers["Location"] == "/"


async def test_with_the_cookie_alone_nothing_is_changed(admin: TestClient) -> None:
    """Another page in this browser, a Machine's on the same host among them, sends the cookie too."""
    await enter(admin)
    position = {"is_on": True}
    url = "/v1/switches/pause_sweeps"
    assert (await admin.get("/v1/switches")).status == 200
    for headers in ({}, {"X-Operator-Csrf": ""}, {"X-Operator-Csrf": "0" * 64}):
        assert (await admin.put(url, json=position, headers=headers)).status == 401
    token = await csrf(admin)
    assert (await admin.put(url, json=position, headers={"X-Operator-Csrf": token})).status == 200
    foreign = {"Sec-Fetch-Site": "same-site"}
    assert (await admin.post("/sign-in", data={"token": TOKEN}, headers=foreign)).status == 403


async def test_who_signs_out_is_out_everywhere_with_that_cookie(admin: TestClient) -> None:
    cookie = {"Cookie": (await enter(admin)).headers["Set-Cookie"].partition(";")[0]}
    assert (await admin.post("/sign-out", data={"csrf": "wrong"})).status == 403
    token = await csrf(admin)
    assert (await admin.post("/sign-out", data={"csrf": token}, allow_redirects=False)).status == 303
    assert (await admin.get("/v1/switches", headers=cookie)).status == 401


async def test_when_the_token_ends_the_session_does(admin: TestClient) -> None:
    made = await (await admin.post("/v1/operators", headers=AUTH, json={"name": "ada", "role": "viewer"})).json()
    await enter(admin, made["token"])
    assert (await admin.get("/v1/switches")).status == 200
    assert (
        await admin.put(
            "/v1/switches/maintenance", json={"is_on": True}, headers={"X-Operator-Csrf": await csrf(admin)}
        )
    ).status == 403
    await admin.delete("/v1/operators/ada", headers=AUTH)
    assert (await admin.get("/v1/switches")).status == 401


async def test_what_is_kept_of_a_session_opens_nothing(back: Back, admin: TestClient) -> None:
    answer = await enter(admin)
    value = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    row = await back.pool.fetchrow("select * from gateway.operator_sessions")
    assert not any(value[at : at + 6].encode() in row["id_hash"] for at in range(38))
    owner = await asyncpg.connect(back.database.admin_dsn)  # we ourselves may not lengthen a session
    await owner.execute("update gateway.operator_sessions set expires_at = now() - interval '1 second'")
    await owner.close()
    assert (await admin.get("/v1/switches")).status == 401


async def test_what_cannot_be_asked_of_the_log_is_told_and_everything_is_shown(back: Back, admin: TestClient) -> None:
    await back.store.append_audit("ada", "something_done", somebody().user_id)
    whose = f"user={somebody().user_id}"
    for wrong in (
        "user=ada",
        f"{whose}&since=soon",
        f"{whose}&since=0001-01-01T00:00:00%2B14:00",
        f"{whose}&before=-1",
    ):
        page = await admin.get(f"/audit?{wrong}", headers={**AUTH, **PAGE})
        text = await page.text()
        assert (page.status, "everything is shown" in text, "something_done" in text) == (200, True, True), wrong
    page = await admin.get(f"/audit?{whose}&since=2026-01-01T00:00:00Z&before=", headers={**AUTH, **PAGE})
    text = await page.text()
    assert (page.status, "everything is shown" in text, "something_done" in text) == (200, False, False)


@pytest.mark.parametrize("path", ["/instances/ada", "/instances?sort=colour", "/signups?status=happy", "/nothing"])
async def test_a_person_gets_a_page_also_when_it_is_a_refusal(admin: TestClient, path: str) -> None:
    await enter(admin)
    page = await admin.get(path, headers=PAGE)
    assert (page.status in (400, 404), page.content_type) == (True, "text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/instances",
        "/signups",
        "/signups?status=waiting",
        "/health",
        "/switches",
        "/audit",
        "/rollouts",
        "/visits",
    ],
)
async def test_every_page_is_drawn(admin: TestClient, path: str) -> None:
    page = await admin.get(path, headers={**AUTH, **PAGE})
    assert (page.status, page.content_type) == (200, "text/html")


async def test_a_viewer_is_shown_no_button_that_would_be_refused(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    await admin.post("/v1/rollout", headers=AUTH, json={"image": "golden@sha256:" + "b" * 64})
    hers = await enlist(admin, "grace", "operator")
    seen = await enlist(admin, "edsger", "viewer")
    for path, of_operators in (
        ("/rollouts", "/v1/rollout/pause"),
        (f"/instances/{ada.user_id}", 'name="reason"'),
        ("/switches", "data-flip"),
        ("/instances", "data-bulk"),
    ):
        shown = [await (await admin.get(path, headers={**who, **PAGE})).text() for who in (hers, seen)]
        assert [of_operators in text for text in shown] == [True, False], path
    destroy = [
        '"DELETE"' in await (await admin.get(f"/instances/{ada.user_id}", headers={**who, **PAGE})).text()
        for who in (AUTH, hers)
    ]
    assert destroy == [True, False]


async def test_a_role_sees_no_more_on_a_page_than_through_the_api(admin: TestClient) -> None:
    page = await admin.get("/", headers={**AUTH, **PAGE})
    assert page.status == 200
    assert TOKEN not in await page.text()
