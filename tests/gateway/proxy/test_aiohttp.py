"""What the front relies on in aiohttp beyond its documentation. Written for 3.14.5: look again when this fails."""

import ast
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.proxy.relayed import Relayed
from tests.gateway.proxy.cases import CHUNKED, OK, H, get
from tests.gateway.proxy.conftest import Lab
from tests.parts.upstreams import saying

ROOM = Path(__file__).parents[3] / "gateway" / "proxy"


def test_these_are_the_versions_looked_at() -> None:
    assert aiohttp.__version__ == "3.14.5"


def test_the_names_that_are_overridden_or_used_exist() -> None:
    for name in ("finish_response", "handle_error", "data_received", "pause_writing", "writing_paused", "connected"):
        assert hasattr(web.RequestHandler, name)
    for name in ("prepare", "write_eof", "keep_alive", "prepared"):
        assert hasattr(web.StreamResponse, name)
        assert name in vars(Relayed)


def test_no_private_name_of_aiohttp_is_used() -> None:
    """Only a class that defines a private name uses it, and none is aiohttp's."""
    theirs = {
        name
        for kind in (web.RequestHandler, web.BaseRequest, web.StreamResponse, web.Server, aiohttp.StreamReader)
        for base in kind.__mro__
        for name in [*vars(base), *getattr(base, "__slots__", ())]
        if name.startswith("_") and not name.startswith("__")
    }
    used = {
        (path.name, node.attr)
        for path in (
            ROOM / "core.py",
            ROOM / "front.py",
            ROOM / "inlet.py",
            ROOM / "relay.py",
            ROOM / "relayed.py",
            ROOM / "server.py",
        )
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in theirs
    }
    assert not used


async def test_our_own_pages_and_relayed_answers_share_a_connection(lab: Lab) -> None:
    async def own(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=await request.read() or b"own")

    proxy = await lab.proxy(saying(OK))
    proxy.own = own
    client = await lab.client(proxy)
    for body in (b"", b"x" * 500_000):
        await client.say(get())
        assert await client.exactly(len(OK)) == OK
        await client.say(b"POST /own HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await client.until()
        assert await client.exactly(len(body) or 3) == (body or b"own")
        chunks = CHUNKED + b"\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n"
        await client.say(b"POST /own HTTP/1.1\r\n" + H + chunks + get())
        await client.until()
        assert await client.exactly(3 + len(OK)) == b"abc" + OK


async def test_an_unread_body_of_our_own_page_does_not_reach_the_next_request(lab: Lab) -> None:
    async def own(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"own")

    proxy = await lab.proxy(saying(OK))
    proxy.own = own
    client = await lab.client(proxy)
    await client.say(b"POST /own HTTP/1.1\r\n" + H + b"Content-Length: 300000\r\n\r\n" + get() * 100)
    await client.until()
    assert await client.exactly(3) == b"own"
    await client.say(b"x" * (300_000 - len(get()) * 100) + get())
    assert await client.exactly(len(OK)) == OK
    assert proxy.upstream.seen == get()
