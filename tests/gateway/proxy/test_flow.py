"""Whoever is slow holds back the other side, and not us."""

import asyncio

from gateway.proxy.limits import ProxyLimits
from tests.gateway.proxy.cases import CHUNKED, OK, POST, answer, get
from tests.gateway.proxy.conftest import Lab, eventually
from tests.parts.upstreams import Line

WHOLE = 64 * 2**20
IN_BETWEEN = 24 * 2**20
"""Our own buffers take less than one of these; the kernel's of three sockets may take the rest."""
SWITCHED = answer(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", status=b"101 Switching Protocols")


class Pour:
    """Sends WHOLE bytes and counts how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    async def into(self, line: Line, wrap: bytes = b"%b") -> None:
        piece = b"x" * 65536
        for _ in range(WHOLE // len(piece)):
            line.writer.write(wrap % piece)
            await line.writer.drain()
            self.taken += len(piece)


async def quiet(pour: Pour) -> None:
    """Return when nothing is taken any more."""
    last = -1
    while pour.taken != last:
        last = pour.taken
        await asyncio.sleep(0.15)


async def test_a_slow_reader_slows_the_machine(lab: Lab) -> None:
    for framing, wrap in ((b"Content-Length: %d\r\n" % WHOLE, b"%b"), (CHUNKED, b"10000\r\n%b\r\n"), (b"", b"%b")):
        pour = Pour()

        async def script(line: Line, framing: bytes = framing, wrap: bytes = wrap, pour: Pour = pour) -> None:
            await line.head()
            await line.say(answer(framing))
            await pour.into(line, wrap)
            if framing == CHUNKED:
                await line.say(b"0\r\n\r\n")

        proxy = await lab.proxy(script)
        client = await lab.client(proxy)
        client.writer.transport.pause_reading()
        await client.say(get(b"Connection: close\r\n"))
        await eventually(lambda pour=pour: pour.taken)
        await quiet(pour)
        assert pour.taken < IN_BETWEEN
        client.writer.transport.resume_reading()
        got = 0
        while data := await client.reader.read(2**20):
            got += len(data)
        assert got >= WHOLE
        assert pour.taken == WHOLE


async def test_a_slow_machine_slows_the_upload(lab: Lab) -> None:
    go = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        line.writer.transport.pause_reading()
        await go.wait()
        line.writer.transport.resume_reading()
        left = WHOLE
        while left:
            left -= len(await line.reader.read(2**20))
        await line.say(OK)

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(POST + b"Content-Length: %d\r\n\r\n" % WHOLE)
    pour = Pour()
    pouring = asyncio.ensure_future(pour.into(client))
    await eventually(lambda: pour.taken)
    await quiet(pour)
    assert pour.taken < IN_BETWEEN
    go.set()
    await pouring
    assert await client.exactly(len(OK)) == OK


async def test_a_websocket_slows_both_ways(lab: Lab) -> None:
    go = asyncio.Event()
    down = Pour()

    async def script(line: Line) -> None:
        await line.head()
        await line.say(SWITCHED)
        line.writer.transport.pause_reading()
        await down.into(line, b"\x82\x7f\0\0\0\0\0\1\0\0%b")
        await go.wait()
        line.writer.transport.resume_reading()
        while await line.reader.read(2**20):
            pass

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"))
    await client.until()
    client.writer.transport.pause_reading()
    up = Pour()
    pouring = asyncio.ensure_future(up.into(client, b"\x82\xff\0\0\0\0\0\1\0\0\0\0\0\0%b"))
    await eventually(lambda: up.taken and down.taken)
    await quiet(down)
    await quiet(up)
    assert down.taken < IN_BETWEEN
    assert up.taken < IN_BETWEEN
    client.writer.transport.resume_reading()
    go.set()
    left = WHOLE // 65536 * (65536 + 10)
    while left:
        left -= len(await client.reader.read(min(left, 2**20)))
    await pouring


async def test_requests_piled_up_behind_a_slow_one_are_not_read_for_ever(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.to_end()

    proxy = await lab.proxy(script, limits=ProxyLimits())
    client = await lab.client(proxy)
    pour = Pour()
    await client.say(get())
    pouring = asyncio.ensure_future(pour.into(client))
    await eventually(lambda: pour.taken)
    await quiet(pour)
    assert pour.taken < IN_BETWEEN
    pouring.cancel()


async def test_who_asks_faster_than_answers_come_waits_outside(lab: Lab) -> None:
    """Requests behind one that is not answered are not read, let alone kept: the connection has a bound."""

    async def script(line: Line) -> None:
        await line.head()
        await line.to_end()

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(get())
    await eventually(lambda: proxy.relay.live.in_progress("k"))
    pour = Pour()
    asking = asyncio.ensure_future(pour.into(Line(client.reader, client.writer), wrap=get(b"X: %b\r\n")))
    await eventually(lambda: pour.taken)
    await quiet(pour)
    assert pour.taken < IN_BETWEEN
    assert proxy.relay.live.in_progress("k") == 1
    asking.cancel()
