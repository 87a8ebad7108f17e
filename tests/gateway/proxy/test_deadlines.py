"""Nobody waits for ever. The clock is moved by hand; the ticks are real."""

import asyncio

from gateway.proxy.errors import BodyStalled, UpstreamSilent
from gateway.proxy.limits import ProxyLimits
from tests.gateway.proxy.cases import CHUNKED, OK, POST, answer, get
from tests.gateway.proxy.conftest import Lab, eventually
from tests.parts.clock import ManualClock
from tests.parts.upstreams import Line

QUICK = ProxyLimits(tick_s=0.01, first_byte_s=60, idle_s=600, stall_s=30, silent_s=1e9)


async def listen(line: Line) -> None:
    await line.head()
    await line.to_end()


async def test_a_machine_that_never_answers(lab: Lab) -> None:
    clock = ManualClock()
    proxy = await lab.proxy(listen, limits=QUICK, clock=clock)
    client = await lab.client(proxy)
    await client.say(get())
    await eventually(lambda: proxy.upstream.seen)
    await clock.advance(seconds=59)
    await asyncio.sleep(0.05)
    assert not proxy.errors
    await clock.advance(seconds=2)
    await client.until(b"UpstreamSilent")
    assert isinstance(proxy.errors[0], UpstreamSilent)
    await eventually(lambda: proxy.upstream.lines[0].reader.at_eof())


async def test_a_client_that_never_ends_its_body(lab: Lab) -> None:
    clock = ManualClock()
    proxy = await lab.proxy(listen, limits=QUICK, clock=clock)
    client = await lab.client(proxy)
    await client.say(POST + b"Content-Length: 9\r\n\r\nabc")
    await eventually(lambda: proxy.upstream.seen)
    await clock.advance(seconds=31)
    await client.until(b"BodyStalled")
    assert isinstance(proxy.errors[0], BodyStalled)


async def test_a_stream_on_which_nothing_moves(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.say(answer(CHUNKED, b"3\r\nabc\r\n"))
        await line.to_end()

    clock = ManualClock()
    proxy = await lab.proxy(script, limits=QUICK, clock=clock)
    client = await lab.client(proxy)
    await client.say(get())
    await client.until(b"abc\r\n")
    await eventually(lambda: proxy.relay.live.open_streams("k"))
    await asyncio.sleep(0.05)  # the tick sees the bytes, so that the quiet begins here
    await clock.advance(seconds=599)
    await asyncio.sleep(0.05)
    assert proxy.relay.live.open_streams("k")
    await clock.advance(seconds=2)
    await eventually(lambda: not proxy.relay.live.in_progress("k"))


async def test_a_client_that_reads_nothing(lab: Lab) -> None:
    """A whole answer that nobody takes does not stay in our memory for ever."""

    async def script(line: Line) -> None:
        await line.head()
        await line.say(answer(b"Content-Length: 30000000\r\n"))
        for _ in range(300):
            await line.say(b"x" * 100_000)
        await line.to_end()

    clock = ManualClock()
    proxy = await lab.proxy(script, limits=QUICK, clock=clock)
    client = await lab.client(proxy)
    client.writer.transport.pause_reading()
    await client.say(get())
    await eventually(lambda: proxy.relay.live.open_streams("k"))
    await asyncio.sleep(0.1)
    await clock.advance(seconds=31)
    await eventually(lambda: not proxy.relay.live.in_progress("k"))


async def test_a_head_that_comes_drop_by_drop(lab: Lab) -> None:
    proxy = await lab.proxy(listen, limits=ProxyLimits(head_s=0.05))
    client = await lab.client(proxy)
    await client.say(get()[:10])
    assert (await client.to_end()).startswith(b"HTTP/1.1 408 ")


async def test_a_machine_that_ignores_expect(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.exactly(3)
        await line.say(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)

    proxy = await lab.proxy(script, limits=ProxyLimits(continue_s=0.05))
    client = await lab.client(proxy)
    await client.say(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert await client.until() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.say(b"abc")
    assert await client.exactly(len(OK)) == OK  # and not a second 100


async def test_expect_is_answered_by_the_machine(lab: Lab) -> None:
    refusal = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"

    async def script(line: Line) -> None:
        assert b"Expect: 100-continue" in await line.head()
        await line.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        await line.exactly(3)
        await line.say(OK)
        assert b"Expect: 100-continue" in await line.head()
        await line.say(refusal)
        await line.to_end()

    proxy = await lab.proxy(script, limits=ProxyLimits(continue_s=60))
    client = await lab.client(proxy)
    fields = b"Content-Length: 3\r\nExpect: 100-continue\r\n"
    await client.say(POST + fields + b"\r\n")
    assert await client.until() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.say(b"abc")
    assert await client.exactly(len(OK)) == OK
    await client.say(get(fields, method=b"PUT"))
    assert await client.until() == refusal
