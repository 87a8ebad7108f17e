"""What a WebSocket client and server say to each other is the same with the proxy between them."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from provisioner.instance import Endpoint
from tests.gateway.proxy.cases import OK, get
from tests.gateway.proxy.conftest import Lab, eventually
from tests.parts.upstreams import Line

Talk = Callable[[str], Awaitable[list[object]]]


async def server(connection: ServerConnection) -> None:
    """Echoes; says back in fragments what asks for it; closes with the code it is told."""
    async for message in connection:
        if message == "fragments":
            await connection.send(["one", "two", "three"])
        elif isinstance(message, str) and message.startswith("close "):
            await connection.close(int(message[6:]), "as told")
        else:
            await connection.send(message)


async def with_websockets(url: str) -> list[object]:
    heard: list[object] = []
    async with connect(url, subprotocols=["a", "b"], max_size=None) as socket:
        heard += [socket.subprotocol, socket.response.headers.get("Sec-WebSocket-Extensions")]
        for message in ("text", b"binary", "", "x" * 1_000_000, b"\x00" * 1_000_000, "fragments"):
            await socket.send(message)
            heard.append(await socket.recv())
        await socket.send(["frag", "men", "ted"])
        heard.append(await socket.recv())
        await (await socket.ping(b"payload"))
        await socket.send("close 4321")
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        heard += [socket.close_code, socket.close_reason]
    return heard


async def with_aiohttp(url: str) -> list[object]:
    heard: list[object] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=["b"], compress=15, max_msg_size=0) as socket,
    ):
        heard += [socket.protocol, socket.compress]
        await socket.send_str("y" * 200_000)
        heard.append(await socket.receive_str())
        await socket.send_bytes(b"z")
        heard.append(await socket.receive_bytes())
        await socket.ping()
        await socket.send_str("close 1000")
        message = await socket.receive()
        heard += [message.type, message.data, message.extra]
    return heard


@pytest.mark.parametrize("talk", [with_websockets, with_aiohttp])
async def test_the_same_is_heard_through_the_proxy(lab: Lab, talk: Talk) -> None:
    async with serve(server, "127.0.0.1", 0, subprotocols=["b"], max_size=None) as direct:
        port = direct.sockets[0].getsockname()[1]
        proxy = await lab.proxy(endpoint=Endpoint("127.0.0.1", port))
        there, through = await talk(f"ws://127.0.0.1:{port}/"), await talk(f"ws://127.0.0.1:{proxy.port}/")
        assert through == there
        if proxy.lane is not None:
            assert (proxy.lane.taken, proxy.handled) == (1, 0)
        await eventually(lambda: not proxy.relay.live.in_progress("k"))


async def test_a_refused_upgrade_is_a_plain_answer(lab: Lab) -> None:
    """And what the client said too early is no request."""
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"

    async def script(line: Line) -> None:
        await line.head()
        await line.say(refusal)
        await line.head()
        await line.say(OK)

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"))
    assert await client.exactly(len(refusal)) == refusal
    await client.say(get())
    assert await client.exactly(len(OK)) == OK


async def test_the_client_is_not_upgraded_before_the_machine_is(lab: Lab) -> None:
    switch = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await switch.wait()
        await line.say(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x01h")
        await line.to_end()

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(get(b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"))
    early = asyncio.ensure_future(client.until())
    await eventually(lambda: proxy.upstream.seen)
    await client.say(b"\x81\x80abcd")
    assert not early.done()
    switch.set()
    assert (await early).startswith(b"HTTP/1.1 101 X\r\n")
    assert await client.exactly(3) == b"\x81\x01h"
    client.hang_up()
    await eventually(lambda: proxy.upstream.seen.endswith(b"\x81\x80abcd"))
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in proxy.upstream.seen
