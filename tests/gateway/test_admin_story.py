"""The story of an Instance for operators: in the API, on its page and as a command."""

from datetime import datetime, timedelta
from uuid import uuid4

from aiohttp.test_utils import TestClient

from tests.parts.admin import AUTH, printed, trail, typed
from tests.parts.back import Back, somebody


async def test_a_story_has_what_was_and_what_comes_next(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    where = f"/v1/instances/{ada.user_id}"
    told = await (await admin.get(f"{where}/story", headers=AUTH)).json()
    assert [moment["kind"] for moment in told["moments"]] == ["made"]
    assert (told["outlook"]["state"], told["outlook"]["keep_awake_until"]) == ("active", None)
    assert told["outlook"]["sleeps_at"] > told["moments"][0]["at"]
    until = (back.parts.clock.now() + timedelta(minutes=20)).isoformat()
    kept = await admin.post(f"{where}/extend", headers=AUTH, json={"until": until})
    assert kept.status == 200
    holds = (await kept.json())["holds_until"]
    assert datetime.fromisoformat(holds) == datetime.fromisoformat(until)
    told = await (await admin.get(f"{where}/story", headers=AUTH)).json()
    assert (told["moments"][0]["kind"], told["outlook"]["keep_awake_until"]) == ("extended", holds)
    page = await (await admin.get(f"/instances/{ada.user_id}", headers=AUTH)).text()
    assert told["moments"][0]["text"] in page
    assert "to be kept awake until" in page
    rows = await trail(admin, user=str(ada.user_id))
    assert ("operator:admin", "extend") in [(row["actor"], row["action"]) for row in rows]


async def test_nobody_keeps_one_awake_beyond_its_plan(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    where = f"/v1/instances/{ada.user_id}"
    told = await (await admin.post(f"{where}/extend", headers=AUTH, json={"until": "9000-01-01T00:00:00Z"})).json()
    cap = back.parts.clock.now() + back.parts.plans.of(ada.user_id).awake_cap
    assert datetime.fromisoformat(told["holds_until"]) <= cap


async def test_who_has_no_instance_has_no_story(admin: TestClient) -> None:
    where = f"/v1/instances/{uuid4()}"
    assert (await admin.get(f"{where}/story", headers=AUTH)).status == 404
    body = {"until": "2030-01-01T00:00:00Z"}
    assert (await admin.post(f"{where}/extend", headers=AUTH, json=body)).status == 404
    assert (await admin.post(f"{where}/extend", headers=AUTH, json={"until": "soon"})).status == 400


async def test_a_story_is_typed(back: Back, where: dict[str, str]) -> None:
    await back.ready(somebody())
    kept = await typed("extend", "ada@", "--for", "15", **where)
    assert (kept.exit_code, "awake until" in kept.output) == (0, True), kept.output
    plain = await typed("timeline", "ada@", **where)
    assert "extended" in plain.output
    assert "due to sleep" in plain.output
    told = printed(await typed("timeline", "ada@", "--json", **where))
    assert [each["kind"] for each in told["moments"]] == ["extended", "made"]
    rows = printed(await typed("timeline", "ada@", "--rows", "--json", **where))
    assert rows[0]["action"] == "create"
