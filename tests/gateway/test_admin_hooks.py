"""Webhooks as an operator adds, tries and ends them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from localcloud.database import Database
from tests.gateway.test_admin import AUTH, listener
from tests.parts.back import Back, back_of_house


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


@pytest.fixture
async def admin(back: Back) -> AsyncIterator[TestClient]:
    async with TestClient(listener(back)) as client:
        yield client


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

    async def delivered() -> list[str]:
        page = await (await admin.get(f"{at}/deliveries", headers=AUTH)).json()
        return [each["status"] for each in page["deliveries"]]

    async with asyncio.timeout(20):
        while await delivered() != ["delivered", "delivered"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
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
