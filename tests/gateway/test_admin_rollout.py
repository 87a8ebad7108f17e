"""A golden image rolled out by the admin API, and by the command."""

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.parts.admin import AUTH, enlist, printed, trail, typed
from tests.parts.back import Back

NEWER = "golden@sha256:" + "b" * 64


async def ordered(admin: TestClient, order: str) -> tuple[int, Any]:
    answer = await admin.post(f"/v1/rollout/{order}", headers=AUTH)
    return answer.status, await answer.json()


async def test_a_rollout_is_started_paused_resumed_and_taken_back(back: Back, admin: TestClient) -> None:
    none = await (await admin.get("/v1/rollout", headers=AUTH)).json()
    assert none == {"rollout": None, "tally": None}
    former = back.parts.images.base
    body = {"image": NEWER, "steps": [5, 100], "tolerance": 0.2, "soak_s": 30, "hurry": True}
    answer = await admin.post("/v1/rollout", headers=AUTH, json=body)
    begun = await answer.json()
    assert (answer.status, begun["state"], begun["percent"], begun["former_image"]) == (201, "running", 5, former)
    assert {name: begun[name] for name in body} == body
    for order, state in [("pause", "paused"), ("resume", "running"), ("back", "returning")]:
        status, told = await ordered(admin, order)
        assert (status, told["state"]) == (200, state)
    now = await (await admin.get("/v1/rollout", headers=AUTH)).json()
    assert (now["rollout"]["id"], now["rollout"]["state"]) == (begun["id"], "returning")
    assert now["tally"] == {"ready": 0, "failed": 0, "moved": 0, "cohort": 0, "left": 0}
    assert "operator:admin" in {row["actor"] for row in await trail(admin) if row["action"].startswith("rollout")}


@pytest.mark.parametrize(
    "wrong", [{}, {"steps": [50, 10, 100]}, {"steps": []}, {"tolerance": 2}, {"soak_s": -1}, {"image": "two words"}]
)
async def test_what_makes_no_sense_begins_nothing(admin: TestClient, back: Back, wrong: dict[str, Any]) -> None:
    body = {"image": back.parts.images.base if not wrong else NEWER, **wrong}
    answer = await admin.post("/v1/rollout", headers=AUTH, json=body)
    assert (answer.status, answer.content_type) == (400, "application/problem+json")
    assert (await (await admin.get("/v1/rollout", headers=AUTH)).json())["rollout"] is None


async def test_there_is_one_at_a_time_and_none_is_told(admin: TestClient) -> None:
    status, told = await ordered(admin, "pause")
    assert (status, told["detail"]) == (409, "no rollout to pause: there is none")
    assert (await admin.post("/v1/rollout", headers=AUTH, json={"image": NEWER})).status == 201
    assert (await admin.post("/v1/rollout", headers=AUTH, json={"image": NEWER + "c"})).status == 409
    status, told = await ordered(admin, "resume")
    assert (status, "running" in told["detail"]) == (409, True)
    assert (await ordered(admin, "forward"))[0] == 404


async def test_an_operator_may_stop_a_rollout_and_an_owner_begins_it(admin: TestClient) -> None:
    token = await enlist(admin, "ada", "operator")
    assert (await admin.post("/v1/rollout", headers=token, json={"image": NEWER})).status == 403
    assert (await admin.post("/v1/rollout", headers=AUTH, json={"image": NEWER})).status == 201
    assert (await admin.post("/v1/rollout/pause", headers=token)).status == 200


async def test_a_rollout_is_typed(where: dict[str, str]) -> None:
    assert "never was" in (await typed("rollout", "status", **where)).output
    told = printed(await typed("rollout", "start", NEWER, "--step", "10", "--step", "100", "--json", **where))
    assert (told["steps"], told["state"], told["tolerance"]) == ([10, 100], "running", 0.1)
    again = await typed("rollout", "start", NEWER + "c", **where)
    assert (again.exit_code, "under way" in again.output) == (1, True)
    assert "is paused at 10 %" in (await typed("rollout", "pause", **where)).output
    assert "is running at 10 %" in (await typed("rollout", "resume", **where)).output
    assert "came up" in (await typed("rollout", "status", **where)).output
    assert "is returning" in (await typed("rollout", "back", **where)).output
    shown = await typed("rollout", "status", "--json", **where)
    assert json.loads(shown.stdout.splitlines()[-1])["rollout"]["state"] == "returning"
