"""Calls over HTTP: a quiet gateway keeps to one warm connection, a crowd does not stand in its own way."""

import asyncio

import httpx
from aiohttp import web
from aiohttp.test_utils import TestServer

from provisioner.connections import EACH, POOLS, client_of

KEPT = httpx.Limits(max_connections=64, max_keepalive_connections=4, keepalive_expiry=30)


class Desk:
    """Answers when told to, and knows by which connections it was asked."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.full = asyncio.Event()
        self.wanted = 0
        self.waiting = 0
        self.callers: list[tuple[str, int]] = []

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.callers.append(request.transport.get_extra_info("peername")[:2])
        self.waiting += 1
        if self.waiting == self.wanted:
            self.full.set()
        await self.open.wait()
        self.waiting -= 1
        return web.Response(text=request.query["n"])

    def server(self) -> TestServer:
        application = web.Application()
        application.router.add_get("/", self.answer)
        return TestServer(application)


async def test_one_after_the_other_uses_one_connection() -> None:
    desk = Desk()
    desk.open.set()
    async with desk.server() as server, client_of(KEPT) as http:
        for n in range(5):
            assert (await http.get(str(server.make_url("/")), params={"n": n})).text == str(n)
    assert len(set(desk.callers)) == 1


async def test_a_crowd_is_under_way_at_once_and_everybody_gets_their_own_answer() -> None:
    """Also more than all pools take before they are shared; and those who gave up leave their places."""
    desk, crowd = Desk(), POOLS * EACH + 20
    desk.wanted = crowd
    async with desk.server() as server, client_of(KEPT) as http:

        async def ask(n: int) -> str:
            return (await http.get(str(server.make_url("/")), params={"n": n}, timeout=60)).text

        calls = [asyncio.ensure_future(ask(n)) for n in range(crowd)]
        async with asyncio.timeout(60):
            await desk.full.wait()
        for call in calls[::2]:
            call.cancel()
        await asyncio.wait(calls[::2])
        desk.open.set()
        assert await asyncio.gather(*calls[1::2]) == [str(n) for n in range(1, crowd, 2)]
        assert await ask(crowd) == str(crowd)
