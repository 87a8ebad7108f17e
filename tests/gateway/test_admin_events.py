"""The event stream: what happens is told at once, and nothing is missed over a cut."""

import json
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from gateway.admin import feed
from tests.parts.admin import AUTH
from tests.parts.back import Back, somebody


async def told(stream: ClientResponse) -> dict[str, Any]:
    """The next event, comments and hints left out."""
    said: dict[str, str] = {}
    async for line in stream.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "" and value == "" and "data" in said:
            return {**said, "data": json.loads(said["data"])}
        if name:
            said[name] = value
    raise AssertionError("the stream ended")


async def test_what_happens_is_told_as_it_happens(back: Back, admin: TestClient) -> None:
    ada = somebody()
    async with admin.get(f"/v1/events?user={ada.user_id}&action=export,lost", headers=AUTH) as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        assert stream.headers["Cache-Control"] == "no-store"
        await stream.content.readline()
        await back.store.append_audit("ada", "export", somebody().user_id)
        await back.store.append_audit("ada", "import", ada.user_id)
        await back.store.append_audit("ada", "export", ada.user_id, {"rows": 3})
        event = await told(stream)
    assert (event["event"], event["data"]["detail"]) == ("export", {"rows": 3})
    assert int(event["id"]) == event["data"]["id"]


async def test_after_a_cut_it_goes_on_where_it_was(back: Back, admin: TestClient) -> None:
    for number in range(3):
        await back.store.append_audit("ada", f"step {number}", None)
    async with admin.get("/v1/events", headers={**AUTH, "Last-Event-ID": "1"}) as stream:
        assert [(await told(stream))["data"]["action"] for _ in range(2)] == ["step 1", "step 2"]
    async with admin.get("/v1/events?after=2", headers=AUTH) as stream:
        assert (await told(stream))["data"]["action"] == "step 2"


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30])
async def test_an_id_that_is_none_is_told(admin: TestClient, last: str) -> None:
    assert (await admin.get("/v1/events", headers={**AUTH, "Last-Event-ID": last})).status == 400


async def test_a_revoked_token_is_told_nothing_more(
    back: Back, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "QUIET_S", 0.05)
    made = await (await admin.post("/v1/operators", headers=AUTH, json={"name": "ada", "role": "viewer"})).json()
    async with admin.get("/v1/events?action=secret", headers={"Authorization": f"Bearer {made['token']}"}) as stream:
        await stream.content.readline()
        await admin.delete("/v1/operators/ada", headers=AUTH)
        await back.store.append_audit("eve", "secret", None)
        rest = await stream.content.read()
    assert b"secret" not in rest
