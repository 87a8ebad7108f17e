"""Upstream connections: reused, replaced, limited, dropped."""

import asyncio
import socket
from contextlib import ExitStack

import pytest

from gateway.proxy.errors import (
    BodyTooLarge,
    UpstreamBroke,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamUnreachable,
)
from gateway.proxy.limits import ProxyLimits
from provisioner.instance import Endpoint
from tests.gateway.proxy.cases import OK, POST, get
from tests.gateway.proxy.conftest import Client, Lab, eventually
from tests.parts.upstreams import Line, saying


async def ask(client: Client, request: bytes = get()) -> bytes:
    await client.say(request)
    head = await client.until()
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await client.exactly(size)


async def once(line: Line) -> None:
    """Answers one request and closes when the next arrives, as a server does whose patience just ended."""
    if await line.head():
        await line.say(OK)
        await line.reader.read(1)
        line.hang_up(rudely=True)


async def test_a_stale_connection_is_replaced_unseen(lab: Lab) -> None:
    proxy = await lab.proxy(once)
    client = await lab.client(proxy)
    for _ in range(3):
        assert await ask(client) == OK
    assert len(proxy.upstream.lines) == 3
    assert not proxy.errors


async def test_what_may_have_been_heard_is_not_said_again(lab: Lab) -> None:
    proxy = await lab.proxy(once)
    client = await lab.client(proxy)
    assert await ask(client) == OK
    assert b"UpstreamBroke" in await ask(client, POST + b"Content-Length: 2\r\n\r\nab")
    assert proxy.errors[0].sent
    assert len(proxy.upstream.lines) == 1


async def test_a_fresh_connection_that_breaks_is_not_tried_again(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.head()

    proxy = await lab.proxy(script)
    assert b"UpstreamBroke" in await ask(await lab.client(proxy))
    assert len(proxy.upstream.lines) == 1
    assert isinstance(proxy.errors[0], UpstreamBroke)


async def test_nobody_listens(lab: Lab) -> None:
    proxy = await lab.proxy(None, endpoint=Endpoint("127.0.0.1", 1))
    assert b"UpstreamRefused" in await ask(await lab.client(proxy))
    assert isinstance(proxy.errors[0], UpstreamRefused)
    assert not proxy.errors[0].sent


async def test_nobody_answers_the_knock(lab: Lab) -> None:
    """A listener whose backlog is full swallows connections, as a suspended Machine does."""
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        proxy = await lab.proxy(endpoint=Endpoint(*full.getsockname()), limits=ProxyLimits(connect_s=0.2))
        assert b"UpstreamUnreachable" in await ask(await lab.client(proxy))
    assert isinstance(proxy.errors[0], UpstreamUnreachable)
    assert not proxy.errors[0].sent


async def test_idle_connections_expire(lab: Lab) -> None:
    proxy = await lab.proxy(saying(OK), limits=ProxyLimits(idle_pool_s=0.05, tick_s=0.01))
    assert await ask(await lab.client(proxy)) == OK
    await eventually(lambda: proxy.upstream.lines[0].reader.at_eof())
    assert await ask(await lab.client(proxy)) == OK
    assert len(proxy.upstream.lines) == 2


async def test_a_dropped_pool_is_not_used_again(lab: Lab) -> None:
    held = asyncio.Event()

    async def script(line: Line) -> None:
        while await line.head():
            if line is proxy.upstream.lines[0]:
                await held.wait()
            await line.say(OK)

    proxy = await lab.proxy(script)
    busy, idle = await lab.client(proxy), await lab.client(proxy)
    await busy.say(get())
    await eventually(lambda: proxy.upstream is not None and proxy.upstream.seen)
    assert await ask(idle) == OK
    proxy.relay.drop_pool(proxy.passage.endpoint)
    await eventually(lambda: proxy.upstream.lines[1].reader.at_eof())
    held.set()
    assert await busy.exactly(len(OK)) == OK  # what was under way ends in peace, and is not kept
    await eventually(lambda: proxy.upstream.lines[0].reader.at_eof())
    assert await ask(idle) == OK
    assert len(proxy.upstream.lines) == 3


async def test_more_requests_than_connections_wait_their_turn(lab: Lab) -> None:
    proxy = await lab.proxy(saying(OK), limits=ProxyLimits(per_endpoint=2))
    clients = [await lab.client(proxy) for _ in range(8)]
    assert await asyncio.gather(*(ask(client) for client in clients)) == [OK] * 8
    assert len(proxy.upstream.lines) <= 2


async def test_a_turn_that_never_comes(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.to_end()

    proxy = await lab.proxy(script, limits=ProxyLimits(per_endpoint=1, connect_s=0.1))
    first = await lab.client(proxy)
    await first.say(get())
    await eventually(lambda: proxy.upstream is not None and proxy.upstream.lines)
    assert b"UpstreamBusy" in await ask(await lab.client(proxy))
    assert isinstance(proxy.errors[0], UpstreamBusy)


@pytest.mark.parametrize(
    "body", [b"Content-Length: 11\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n"]
)
async def test_a_body_beyond_the_limit_is_refused(lab: Lab, body: bytes) -> None:
    async def script(line: Line) -> None:
        await line.to_end()

    proxy = await lab.proxy(script, limits=ProxyLimits(max_body_bytes=10))
    assert b"BodyTooLarge" in await ask(await lab.client(proxy), POST + body)
    assert isinstance(proxy.errors[0], BodyTooLarge)


async def test_an_early_answer_stops_the_upload(lab: Lab) -> None:
    """The rest of the body would be sent to nobody."""
    full = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    async def script(line: Line) -> None:
        await line.head()
        await line.say(full)

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(POST + b"Content-Length: 100000000\r\n\r\n" + b"x" * 100_000)
    assert (await client.until()).startswith(b"HTTP/1.1 413 ")
    await eventually(lambda: not proxy.relay.live.in_progress("k"))
