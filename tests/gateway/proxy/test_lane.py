"""The fast lane: what it takes, what it hands over, and what it does not keep."""

import asyncio

import pytest

from gateway.proxy.errors import UpstreamError
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.passage import Passage
from provisioner.instance import Endpoint
from tests.gateway.proxy.cases import CHUNKED, OK, POST, answer, get
from tests.gateway.proxy.conftest import Lab, Proxy, eventually
from tests.parts.upstreams import Line, saying


def lead_astray(proxy: Proxy) -> None:
    """The lane is told of an Endpoint where nobody listens; the core knows better."""
    proxy.fast_passage = Passage(endpoint=Endpoint("127.0.0.1", 1), key="k")


@pytest.mark.parametrize(
    "request_",
    [
        get(),
        POST + b"Content-Length: 5\r\n\r\nhello",
        POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n",
        POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
    ],
    ids=["no body", "a body", "chunks", "a large body"],
)
async def test_what_was_not_sent_is_handed_over_whole(fast: Lab, request_: bytes) -> None:
    """The core may wake the Machine and try again: not a byte of the request is lost for that."""

    async def script(line: Line) -> None:
        await line.exactly(len(request_))
        await line.say(OK)

    proxy = await fast.proxy(script)
    lead_astray(proxy)
    client = await fast.client(proxy)
    await client.say(request_)
    assert await client.exactly(len(OK)) == OK
    assert proxy.upstream.seen == request_
    assert proxy.lane is not None
    assert (proxy.lane.taken, proxy.handled) == (1, 1)


@pytest.mark.parametrize("piece", [7, 10_000])
async def test_a_body_goes_on_to_the_core_while_it_still_comes(fast: Lab, piece: int) -> None:
    sent = POST + CHUNKED + b"\r\n" + b"%x\r\n%b\r\n" % (50_000, b"y" * 50_000) + b"0\r\nT: 1\r\n\r\n"
    body = b""

    async def script(line: Line) -> None:
        nonlocal body
        await line.head()
        while size := int(await line.until(b"\r\n"), 16):
            body += await line.exactly(size)
            await line.exactly(2)
        await line.exactly(2)
        await line.say(OK)

    proxy = await fast.proxy(script)
    lead_astray(proxy)
    client = await fast.client(proxy)
    for at in range(0, len(sent), piece):
        client.writer.write(sent[at : at + piece])
        if at % 700 == 0:
            await asyncio.sleep(0)
    assert await client.exactly(len(OK)) == OK
    assert body == b"y" * 50_000


async def test_what_was_sent_is_answered_by_the_core_and_not_sent_again(fast: Lab) -> None:
    """And what still comes of its body is swallowed, so that the connection lives on."""

    async def script(line: Line) -> None:
        while await line.head():
            if line is proxy.upstream.lines[0]:
                await line.exactly(3)
                return
            await line.say(OK)

    proxy = await fast.proxy(script)
    assert proxy.lane is not None
    told: list[UpstreamError] = []
    proxy.lane.failed = lambda passage, error: told.append(error)
    for framing, rest in ((b"Content-Length: 9\r\n\r\nabc", b"defghi"), (CHUNKED + b"\r\n3\r\n", b"abc\r\n0\r\n\r\n")):
        proxy.upstream.lines.clear()
        client = await fast.client(proxy)
        await client.say(POST + framing)
        await client.until(b"UpstreamBroke")
        assert [error.sent for error in told] == [True]
        assert proxy.errors == told
        assert len(proxy.upstream.lines) == 1
        await client.say(rest + get())
        assert await client.exactly(len(OK)) == OK
        assert proxy.upstream.lines[1].seen == get()
        told.clear()
        proxy.errors.clear()
        proxy.relay.drop_pool(proxy.passage.endpoint)


async def test_an_early_answer_leaves_the_connection_in_step(fast: Lab) -> None:
    """The Machine refuses an upload at once; what still comes of it is nobody's request."""

    async def script(line: Line) -> None:
        while await line.head():
            await line.say(OK)

    proxy = await fast.proxy(script)
    client = await fast.client(proxy)
    await client.say(POST + b"Content-Length: %d\r\n\r\n" % (3 * len(get())) + get())
    assert await client.exactly(len(OK)) == OK
    await client.say(get() * 2)
    await client.say(get(target=b"/next"))
    assert await client.exactly(len(OK)) == OK
    assert b"GET /next" in proxy.upstream.lines[1].seen
    assert len(proxy.upstream.lines) == 2, "a connection that may still wait for a body is not used again"


async def test_no_task_and_no_timer_for_a_request_on_a_kept_connection(fast: Lab) -> None:
    tasks: list[int] = []

    async def script(line: Line) -> None:
        while await line.head():
            tasks.append(len(asyncio.all_tasks()))
            await line.say(OK)

    proxy = await fast.proxy(script)
    client = await fast.client(proxy)
    for _ in range(3):
        await client.say(get())
        assert await client.exactly(len(OK)) == OK
    assert tasks[1] == tasks[2] <= tasks[0]
    assert not proxy.handled


async def test_an_idle_connection_ends(fast: Lab) -> None:
    proxy = await fast.proxy(saying(OK), limits=ProxyLimits(keepalive_s=0.1))
    silent, once = await fast.client(proxy), await fast.client(proxy)
    await once.say(get())
    assert await once.exactly(len(OK)) == OK
    assert await silent.to_end() == b""
    assert await once.to_end() == b""


async def test_a_busy_connection_does_not(fast: Lab) -> None:
    go = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await go.wait()
        await line.say(OK)

    proxy = await fast.proxy(script, limits=ProxyLimits(keepalive_s=0.05))
    client = await fast.client(proxy)
    await client.say(get())
    await asyncio.sleep(0.2)
    go.set()
    assert await client.exactly(len(OK)) == OK


async def test_going_down_lets_the_answer_out_and_says_that_it_is_the_last(fast: Lab) -> None:
    go = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await go.wait()
        await line.say(OK)

    proxy = await fast.proxy(script)
    idle, busy = await fast.client(proxy), await fast.client(proxy)
    await busy.say(get())
    await eventually(lambda: proxy.upstream is not None and proxy.upstream.seen)
    assert proxy.front is not None
    proxy.front.pre_shutdown()
    assert await idle.to_end() == b""
    go.set()
    assert await busy.to_end() == answer(b"Content-Length: 2\r\nConnection: close\r\n", b"ok")


async def test_a_body_too_large_by_its_chunks_is_refused_before_it_is_read(fast: Lab) -> None:
    async def script(line: Line) -> None:
        await line.to_end()

    proxy = await fast.proxy(script, limits=ProxyLimits(max_body_bytes=10))
    client = await fast.client(proxy)
    await client.say(POST + CHUNKED + b"\r\nfffffff\r\n")
    await client.until(b"BodyTooLarge")


async def test_who_leaves_while_we_connect_leaves_nothing(fast: Lab) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.to_end()

    proxy = await fast.proxy(script, limits=ProxyLimits(per_endpoint=1, connect_s=30))
    first, second = await fast.client(proxy), await fast.client(proxy)
    await first.say(get())
    await eventually(lambda: proxy.upstream is not None and proxy.upstream.seen)
    await second.say(get())
    await eventually(lambda: proxy.relay.live.in_progress("k") == 2)
    second.hang_up(rudely=True)
    await eventually(lambda: proxy.relay.live.in_progress("k") == 1)
    first.hang_up()
    await eventually(lambda: not proxy.relay.live.in_progress("k"))
    assert not proxy.errors
