"""Streams are counted, drained and cut."""

import asyncio

import pytest

from gateway.proxy.errors import ExchangeCut
from tests.gateway.proxy.cases import CHUNKED, OK, answer, get
from tests.gateway.proxy.conftest import Client, Lab, Proxy, eventually
from tests.parts.clock import ManualClock
from tests.parts.upstreams import Line

UPGRADE = get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
SWITCHED = answer(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", status=b"101 Switching Protocols")
EVENTS = answer(b"Content-Type: text/event-stream; charset=utf-8\r\n" + CHUNKED)


async def machine(line: Line) -> None:
    """Answers by path: a WebSocket, an event stream or a download that says what it is told, or silence."""
    head = await line.head()
    if b"Upgrade" in head:
        await line.say(SWITCHED)
    elif b"/events" in head:
        await line.say(EVENTS)
    elif b"/file" in head:
        await line.say(answer(CHUNKED, b"3\r\nabc\r\n"))
    await line.to_end()


async def opened(lab: Lab, proxy: Proxy, request: bytes) -> Client:
    client = await lab.client(proxy)
    await client.say(request)
    await client.until()
    return client


async def test_a_drained_websocket_hears_1001_on_both_sides(lab: Lab) -> None:
    proxy = await lab.proxy(machine)
    client = await opened(lab, proxy, UPGRADE)
    drain = asyncio.ensure_future(proxy.relay.live.drain("k"))
    assert await client.exactly(4) == b"\x88\x02\x03\xe9"
    await client.say(b"\x88\x82\0\0\0\0\x03\xe9")
    assert await client.to_end() == b""
    await drain
    await eventually(lambda: proxy.upstream.lines[0].seen.endswith(b"\x88\x82\0\0\0\0\x03\xe9"))
    assert not proxy.relay.live.in_progress("k")


async def test_a_close_frame_never_lands_inside_another_frame(lab: Lab) -> None:
    proxy = await lab.proxy(machine)
    client = await opened(lab, proxy, UPGRADE)
    line = proxy.upstream.lines[0]
    await line.say(b"\x82\x05ab")
    assert await client.exactly(4) == b"\x82\x05ab"
    drain = asyncio.ensure_future(proxy.relay.live.drain("k", 1012))
    await asyncio.sleep(0.02)
    await line.say(b"cde\x82\x01x")
    assert await client.exactly(7) == b"cde\x88\x02\x03\xf4"
    client.hang_up()
    await drain


async def test_a_client_that_ignores_the_close_is_cut(lab: Lab) -> None:
    clock = ManualClock()
    proxy = await lab.proxy(machine, clock=clock)
    client = await opened(lab, proxy, UPGRADE)
    await asyncio.gather(proxy.relay.live.drain("k"), client.to_end())
    await eventually(lambda: not proxy.relay.live.in_progress("k"))


async def test_streams_end_and_plain_requests_go_on(lab: Lab) -> None:
    proxy = await lab.proxy(machine)
    events = await opened(lab, proxy, get(target=b"/events"))
    file = await opened(lab, proxy, get(target=b"/file"))
    await file.until(b"abc\r\n")
    waiting = await lab.client(proxy)
    await waiting.say(get(target=b"/silent"))
    await eventually(lambda: proxy.relay.live.in_progress("k") == 3)
    assert proxy.relay.live.open_streams("k") == 2
    await proxy.relay.live.drain("k")
    assert await events.to_end() == b"0\r\n\r\n", "an event stream can end in good order"
    with pytest.raises(ConnectionResetError):  # a download that was cut must not look whole
        await file.to_end()
    assert proxy.relay.live.in_progress("k") == 1
    await proxy.upstream.lines[2].say(OK)
    assert await waiting.exactly(len(OK)) == OK


async def test_one_session_is_cut_and_no_other(lab: Lab) -> None:
    proxy = await lab.proxy(machine, session="ada")
    socket = await opened(lab, proxy, UPGRADE)
    waiting = await lab.client(proxy)
    await waiting.say(get())
    await eventually(lambda: proxy.relay.live.in_progress("k") == 2)
    await proxy.relay.live.cut("bob")
    assert proxy.relay.live.in_progress("k") == 2
    cut = asyncio.ensure_future(proxy.relay.live.cut("ada"))
    assert await socket.exactly(4) == b"\x88\x02\x03\xf0"
    socket.hang_up()
    await waiting.until(b"ExchangeCut")
    assert isinstance(proxy.errors[0], ExchangeCut)
    await cut


async def test_all_streams_are_drained_within_the_spread(lab: Lab) -> None:
    clock = ManualClock()
    proxy = await lab.proxy(machine, clock=clock)
    clients = [await opened(lab, proxy, UPGRADE) for _ in range(3)]
    drain = asyncio.ensure_future(proxy.relay.live.drain_all(spread=2.0))
    await asyncio.sleep(0.02)
    assert proxy.relay.live.open_streams("k") == 3
    await clock.advance(seconds=1)
    for client in clients:
        assert await client.exactly(4) == b"\x88\x02\x03\xf4"
        client.hang_up()
    await drain


async def test_data_counts_as_activity_and_keep_alives_do_not(lab: Lab) -> None:
    clock = ManualClock()
    proxy = await lab.proxy(machine, clock=clock)
    socket, events = await opened(lab, proxy, UPGRADE), await opened(lab, proxy, get(target=b"/events"))
    lines = proxy.upstream.lines

    async def moved(line: Line, client: Client, data: bytes) -> bool:
        await clock.advance(seconds=1)
        touched = proxy.touched
        await line.say(data)
        await client.exactly(len(data))
        await asyncio.sleep(0.06)  # frames are told at the next tick
        assert (proxy.touched > touched) == (proxy.relay.live.moved_at("k") == clock.monotonic())
        return proxy.touched > touched

    assert await moved(lines[0], socket, b"\x81\x01a")
    assert not await moved(lines[0], socket, b"\x89\x01a\x8a\x00")
    assert await moved(lines[1], events, b"9\r\ndata: a\n\n\r\n")
    assert not await moved(lines[1], events, b"8\r\n: ping\n\n\r\n")
    await clock.advance(seconds=1)
    before = proxy.touched
    await socket.say(b"\x89\x80abcd\x81\x81abcdx")
    await eventually(lambda: proxy.touched == before + 1)
    assert proxy.relay.live.moved_at("nobody") is None
