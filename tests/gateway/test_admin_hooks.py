"""Webhooks as an operator adds, tries and ends them."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.parts.admin import AUTH
from tests.parts.system import until


async def test_a_webhook_hears_at_once_and_its_deliveries_are_listed(admin: TestClient) -> None:
    """Over real NOTIFY: the courier does not wait for its next look."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        heard.put_nowait((await request.json())["type"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", hear)
    async with TestServer(app) as server:
        sent = {"url": str(server.make_url("/")), "actions": ["switch"]}
        answer = await admin.post("/v1/webhooks", headers=AUTH, json=sent)
        made = await answer.json()
        assert (answer.status, made["secret"].startswith("whsec_")) == (201, True)
        at = f"/v1/webhooks/{made['id']}"
        assert (await admin.post(f"{at}/test", headers=AUTH)).status == 202
        assert await asyncio.wait_for(heard.get(), 20) == "webhook_test"
        position = {"is_on": True, "message": "trying"}
        await admin.put("/v1/switches/pause_sweeps", headers=AUTH, json=position)
        assert await asyncio.wait_for(heard.get(), 20) == "switch"

    async def delivered() -> bool:
        page = await (await admin.get(f"{at}/deliveries", headers=AUTH)).json()
        return [each["status"] for each in page["deliveries"]] == ["delivered", "delivered"]

    await until(delivered)
    listed = await (await admin.get("/v1/webhooks", headers=AUTH)).json()
    assert "secret" not in listed["webhooks"][0]
    assert (await admin.delete(at, headers=AUTH)).status == 204
    assert (await admin.get(f"{at}/deliveries", headers=AUTH)).status == 404


@pytest.mark.parametrize(
    "sent", [{"url": "ftp://x"}, {"url": "https://x", "actions": []}, {"url": "https://x", "actions": ["Drop table"]}]
)
async def test_what_is_no_webhook_is_refused(admin: TestClient, sent: dict[str, object]) -> None:
    answer = await admin.post("/v1/webhooks", headers=AUTH, json=sent)
    assert answer.status == 400
