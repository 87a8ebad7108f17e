"""What a client and a Machine see of each other."""

import asyncio

from tests.gateway.proxy.conftest import Lab, eventually
from tests.parts.upstreams import Line, saying

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_request_and_its_answer_pass(lab: Lab) -> None:
    proxy = await lab.proxy(saying(OK))
    client = await lab.client(proxy)
    for _ in range(3):
        await client.say(b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.exactly(len(OK)) == OK
    assert proxy.upstream.seen == b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n" * 3
    assert len(proxy.upstream.lines) == 1


async def test_a_body_passes(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.exactly(1_000_000)
        await line.say(OK)
        await line.head()
        await line.until(b"0\r\n\r\n")
        await line.say(OK)

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
    assert await client.exactly(len(OK)) == OK
    await client.say(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.say(b"5\r\nhello\r\n0\r\nX: y\r\n\r\n")
    assert await client.exactly(len(OK)) == OK
    assert proxy.upstream.seen.endswith(b"chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


async def test_a_websocket_passes(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nA: b\r\n\r\n")
        while data := await line.reader.read(100):
            await line.say(data)

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x01a")
    head = await client.until()
    assert head == b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert await client.exactly(3) == b"\x81\x01a"
    assert proxy.relay.live.open_streams("k") == 1
    touched = proxy.touched
    await client.say(b"\x89\x00")
    assert await client.exactly(2) == b"\x89\x00"
    assert proxy.touched == touched
    drained = asyncio.ensure_future(proxy.relay.live.drain("k"))
    assert await client.exactly(4) == b"\x88\x02\x03\xe9"
    await client.say(b"\x88\x82\0\0\0\0\x03\xe9")
    assert await client.to_end() == b""
    await drained
    await eventually(lambda: not proxy.relay.live.in_progress("k"))
