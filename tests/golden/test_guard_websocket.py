"""WebSockets through the Guard: as if it were not there, until it goes away."""

import asyncio
import json
import os

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.golden.conftest import RunningGuard
from tests.golden.stage import eventually, open_files


def line(guard: RunningGuard, **options: object) -> connect:
    return connect(
        f"ws://127.0.0.1:{guard.port}/ws?a=%20b",
        additional_headers=guard.headers,
        max_size=64 << 20,
        proxy=None,
        **options,  # type: ignore[arg-type]
    )


async def test_messages_of_every_kind_and_size_come_back(guard):
    """Empty, text, binary, one MB, and one in fragments; compressed or not."""
    for compression in (None, "deflate"):
        async with line(guard, compression=compression) as socket:
            for message in ("", "grüße", b"\x00\xff", os.urandom(1 << 20), "x" * 200_000):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["a", "b", "c" * 70_000])
            assert await socket.recv() == "ab" + "c" * 70_000
            await (await socket.ping())


async def test_the_subprotocol_and_who_asks_arrive(guard):
    async with line(guard, subprotocols=["nobody-speaks-this", "chat"]) as socket:
        assert socket.subprotocol == "chat"
        await socket.send("headers")
        headers = dict(map(tuple, json.loads(await socket.recv())))
    assert headers["X-Jarvis-Email"] == "ada@example.com"
    assert "X-Jarvis-Assertion" not in headers


async def test_close_codes_go_both_ways(guard):
    async with line(guard) as socket:
        await socket.send("close 4711 good bye")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4711, "good bye")
    async with line(guard) as socket:
        await socket.close(3001, "mine")
    await guard.heard("websocket closed 3001")


async def test_a_burst_keeps_its_order(guard):
    async with line(guard) as socket:
        await socket.send("burst 5000")
        assert [int(await socket.recv()) for _ in range(5000)] == list(range(5000))


async def test_a_refused_handshake_never_becomes_a_websocket(guard):
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{guard.port}/ws", proxy=None)
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{guard.port}/headers", additional_headers=guard.headers, proxy=None)
    assert refused.value.response.status_code == 200  # the App's answer: it speaks no WebSocket there


async def test_what_comes_with_the_handshake_waits_for_the_101(guard):
    """A frame in the same packet as the handshake is delivered once the App has agreed."""
    wire = await guard.wire()
    head = (
        f"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"X-Jarvis-Assertion: {guard.headers['X-Jarvis-Assertion']}\r\n\r\n"
    )
    await wire.say(head.encode() + b"\x81\x82\x00\x00\x00\x00hi")
    answer = await wire.until(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Upgrade: websocket\r\n" in answer
    assert b"Connection: Upgrade\r\n" in answer
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    assert await wire.exactly(4) == b"\x81\x02hi"
    await wire.close()


async def test_going_down_it_says_1001(guard):
    async with line(guard) as socket:
        await socket.send("hello")
        await socket.recv()
        stopping = asyncio.create_task(guard.stop())
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1001
    assert await stopping == 0


async def test_an_app_that_dies_takes_its_websockets_with_it(guard, http):
    async with line(guard) as socket:
        async with http.post(guard.base + "/die", headers=guard.headers) as response:
            assert response.status == 502
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_a_client_that_vanishes_frees_both_sockets(guard):
    await guard.said("app_ready")
    async with line(guard) as socket:
        await socket.send("hello")
        await socket.recv()
        before = open_files(guard.pid)
        socket.transport.abort()
    await eventually(lambda: open_files(guard.pid) == before - 2)


async def test_only_messages_keep_a_machine_awake(guard, http):
    """An open tab that is quiet for a minute does not; see test_activity for the minute."""

    async def busy() -> dict[str, object]:
        async with http.get(guard.base + "/_guard/busy", headers=guard.headers) as response:
            return await response.json()

    async with line(guard) as socket:
        await socket.send("hello")
        await socket.recv()
        assert await busy() == {"busy": True, "reason": "open stream", "open_streams": 1, "leases": []}
    await eventually(lambda: "websocket closed 1000" in guard.lines)
    assert (await busy())["open_streams"] == 0
