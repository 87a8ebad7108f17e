"""The operator's door: nobody in without the token, every action answers when it is done, bad input is told."""

import pytest
from aiohttp.test_utils import TestClient

from tests.parts.admin import AUTH, TOKEN, listener
from tests.parts.back import Back, somebody


@pytest.mark.parametrize("path", ["/v1/instances", "/metrics", "/v1/nothing", "/"])
@pytest.mark.parametrize("shown", [None, "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
async def test_nobody_in_without_the_token(admin: TestClient, path: str, shown: str | None) -> None:
    answer = await admin.get(path, headers={} if shown is None else {"Authorization": shown})
    assert (answer.status, answer.content_type) == (401, "application/problem+json")
    assert TOKEN not in await answer.text()


async def test_health_is_open_and_metrics_may_be(back: Back, admin: TestClient) -> None:
    assert (await admin.get("/healthz")).status == 200
    async with TestClient(listener(back, open_metrics=True)) as scraper:
        answer = await scraper.get("/metrics")
        assert answer.status == 200
        assert "jarvis_requests_total" in await answer.text()
        assert (await scraper.get("/v1/instances")).status == 401


async def test_a_life_in_the_operators_hands(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    where = f"/v1/instances/{ada.user_id}"
    listed = await (await admin.get("/v1/instances", headers=AUTH)).json()
    assert [i["user_id"] for i in listed["instances"]] == [str(ada.user_id)]
    for action, state in [
        ("suspend", "suspended"),
        ("start", "active"),
        ("stop", "stopped"),
        ("start", "active"),
        ("restart", "active"),
    ]:
        answer = await admin.post(f"{where}/{action}", headers=AUTH)
        assert (answer.status, (await answer.json())["state"]) == (200, state), action
    shown = await (await admin.get(where, headers=AUTH)).json()
    assert shown["machine_id"]
    assert shown["last_active"]
    assert (await admin.delete(where, headers=AUTH)).status == 204
    assert (await admin.get(where, headers=AUTH)).status == 404


async def test_pages_of_instances(back: Back, admin: TestClient) -> None:
    for n in range(5):
        visitor = somebody()
        await back.store.create(
            visitor.user_id, email="x@y.z", app_name="a", machine_name=f"m{n}", region="iad", image="g", actor="test"
        )
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        query = {"limit": "2"} | ({"after": after} if after else {})
        page = await (await admin.get("/v1/instances", headers=AUTH, params=query)).json()
        seen += [i["user_id"] for i in page["instances"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 5
    failed = await (await admin.get("/v1/instances", headers=AUTH, params={"state": "failed"})).json()
    assert failed["instances"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/instances?limit=0", 400),
        ("GET", "/v1/instances?limit=many", 400),
        ("GET", "/v1/instances?state=sleepy", 400),
        ("GET", "/v1/instances?after=me", 400),
        ("GET", "/v1/instances/ada", 400),
        ("GET", "/v1/instances/00000000-0000-4000-8000-000000000000", 404),
        ("DELETE", "/v1/instances/00000000-0000-4000-8000-000000000000", 404),
        ("POST", "/v1/instances/00000000-0000-4000-8000-000000000000/explode", 404),
        ("PUT", "/v1/instances", 405),
    ],
)
async def test_bad_input_is_told(admin: TestClient, method: str, path: str, status: int) -> None:
    answer = await admin.request(method, path, headers=AUTH)
    assert (answer.status, answer.content_type) == (status, "application/problem+json")
    assert (await answer.json())["detail"]


async def test_flys_own_words_reach_the_operator(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    back.fly.faults.add(
        {
            "match": {"action": "stop_machine"},
            "fault": {"kind": "status", "status": 500, "body": {"error": "boom at Fly"}},
        }
    )
    answer = await admin.post(f"/v1/instances/{ada.user_id}/stop", headers=AUTH)
    assert answer.status == 502
    assert "boom at Fly" in (await answer.json())["detail"]
