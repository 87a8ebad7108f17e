"""How answers come back: framed anew, streamed, and ended truthfully when the App fails."""

import asyncio

import pytest

from tests.golden.stage import GET, OK, eventually, relay
from tests.parts.upstreams import Line, saying

HEAD = GET.replace(b"GET", b"HEAD")


def dechunked(body: bytes) -> bytes:
    """The payload of a whole chunked body."""
    payload, left = b"", body
    while True:
        size, _, left = left.partition(b"\r\n")
        if not int(size, 16):
            assert left == b"\r\n"
            return payload
        payload, left = payload + left[: int(size, 16)], left[int(size, 16) + 2 :]


async def test_one_connection_to_the_app_serves_many_requests():
    async with relay(saying(OK)) as it:
        wire = await it.connect()
        for _ in range(5):
            await wire.say(GET)
            assert await wire.exactly(len(OK)) == OK
        assert len(it.upstream.lines) == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_answers_that_have_no_body_leave_the_connection_in_step(status):
    async with relay(saying(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n", OK)) as it:
        wire = await it.connect()
        await wire.say(GET)
        assert await wire.until(b"\r\n\r\n") == b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n"
        await wire.say(GET)
        assert await wire.exactly(len(OK)) == OK
        assert len(it.upstream.lines) == 1


async def test_head_has_the_length_and_not_the_body():
    async with relay(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", OK)) as it:
        wire = await it.connect()
        await wire.say(HEAD)
        assert await wire.until(b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
        await wire.say(GET)
        assert await wire.exactly(len(OK)) == OK


async def test_what_has_no_length_is_sent_in_chunks_and_the_connection_goes_on():
    async def script(line: Line) -> None:
        await line.head()
        await line.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")

    async with relay(script) as it:
        wire = await it.connect()
        for _ in range(2):
            await wire.say(GET)
            head = await wire.until(b"\r\n\r\n")
            assert head == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            assert dechunked(await wire.until(b"0\r\n\r\n")) == b"until the end"


async def test_an_http_1_0_app_is_understood():
    async def script(line: Line) -> None:
        await line.head()
        await line.say(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with relay(script) as it:
        wire = await it.connect()
        for _ in range(2):
            await wire.say(GET)
            assert await wire.exactly(len(OK)) == OK


async def test_an_http_1_0_client_gets_no_chunks_and_a_close():
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with relay(saying(answer)) as it:
        got = await it.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert got == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"


async def test_chunks_come_down_without_extensions_and_trailers():
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nSet-Cookie: x\r\n\r\n"
    )
    async with relay(saying(answer, OK)) as it:
        wire = await it.connect()
        await wire.say(GET)
        await wire.until(b"\r\n\r\n")
        assert await wire.until(b"0\r\n\r\n") == b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        await wire.say(GET)
        assert await wire.exactly(len(OK)) == OK
        assert len(it.upstream.lines) == 1


async def test_every_event_arrives_before_the_next_is_sent():
    """The upstream says the second word only after the client has heard the first."""
    heard = asyncio.Semaphore(0)

    async def script(line: Line) -> None:
        await line.head()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            await heard.acquire()
            await line.say(b"9\r\ndata: %d\n\n\r\n" % number)
        await line.say(b"0\r\n\r\n")

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(GET)
        await wire.until(b"\r\n\r\n")
        for number in range(5):
            heard.release()
            assert await wire.until(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
        assert await wire.until(b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_interim_answers_and_the_final_one_all_arrive():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    async with relay(saying(early + early + OK)) as it:
        wire = await it.connect()
        await wire.say(GET)
        assert await wire.exactly(len(early + early + OK)) == early + early + OK


async def test_an_answer_may_come_byte_by_byte():
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 Long Reason\r\nX: abc\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3;ext\r\nabc\r\n0\r\nT: x\r\n\r\n"
    )

    async def script(line: Line) -> None:
        while await line.head():
            for at in range(len(answer)):
                await line.say(answer[at : at + 1])
                await asyncio.sleep(0)

    async with relay(script) as it:
        wire = await it.connect()
        for _ in range(2):
            await wire.say(GET)
            assert await wire.until(b"A: b\r\n\r\n")
            head = await wire.until(b"\r\n\r\n")
            assert head == b"HTTP/1.1 200 Long Reason\r\nX: abc\r\nTransfer-Encoding: chunked\r\n\r\n"
            assert dechunked(await wire.until(b"0\r\n\r\n")) == b"abc"


BROKEN = {
    "not HTTP": b"hello\r\n\r\n",
    "both lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "folded": b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok",
    "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nConte",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_is_none_becomes_502_and_the_client_may_go_on(answer):
    async def script(line: Line) -> None:
        await line.head()
        await line.say(answer)

    async with relay(script) as it:
        wire = await it.connect()
        for _ in range(2):
            await wire.say(GET)
            head = await wire.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
            await wire.until(b"}")


async def test_a_second_answer_that_nobody_asked_for_reaches_nobody():
    async with relay(saying(OK + OK)) as it:
        wire = await it.connect()
        for number in range(3):
            await wire.say(GET)
            assert await wire.exactly(len(OK)) == OK
            assert len(it.upstream.lines) == number + 1


@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
@pytest.mark.parametrize("rudely", [False, True])
async def test_an_app_that_dies_in_mid_answer_ends_the_clients_connection(begun, rudely):
    """Cut short in a way that the client can tell from an end."""
    told = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.say(begun)
        await told.wait()
        line.hang_up(rudely=rudely)

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(GET)
        await wire.until(b"abc")
        told.set()
        assert not (await wire.to_end()).endswith(b"0\r\n\r\n")
        await eventually(lambda: not it.server.connections)


async def test_a_get_that_meets_a_dead_connection_is_sent_once_more():
    asked = []

    async def script(line: Line) -> None:
        asked.append(await line.head())
        await line.say(OK)
        if len(asked) == 1:
            asked.append(await line.head())  # takes the second request, and dies of it

    async with relay(script) as it:
        wire = await it.connect()
        for _ in range(2):
            await wire.say(GET)
            assert await wire.exactly(len(OK)) == OK
        assert asked == [GET, GET, GET]


async def test_a_post_that_meets_a_dead_connection_is_not_sent_again():
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    asked = []

    async def script(line: Line) -> None:
        asked.append(await line.head())
        await line.say(OK)
        asked.append(await line.head())

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(GET)
        assert await wire.exactly(len(OK)) == OK
        await wire.say(post)
        assert (await wire.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
        assert asked == [GET, post]


async def test_a_client_that_leaves_is_not_served_any_further():
    left = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.to_end()
        left.set()

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(GET)
        await eventually(lambda: it.upstream.seen)
        await wire.close()
        await asyncio.wait_for(left.wait(), 10)
        await eventually(lambda: not it.server.connections)


async def test_a_client_that_leaves_in_mid_answer_or_mid_upload_stops_the_app():
    left, arrived = asyncio.Semaphore(0), asyncio.Event()

    async def script(line: Line) -> None:
        head = await line.head()
        if head.startswith(b"GET"):
            await line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        else:
            await line.exactly(3)
            arrived.set()
        await line.to_end()
        left.release()

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(GET)
        await wire.until(b"abc")
        await wire.close()
        await asyncio.wait_for(left.acquire(), 10)
        wire = await it.connect()
        await wire.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        await asyncio.wait_for(arrived.wait(), 10)
        await wire.close()
        await asyncio.wait_for(left.acquire(), 10)


async def test_a_connection_that_the_app_closes_while_idle_is_not_used_again():
    async def script(line: Line) -> None:
        await line.head()
        await line.say(OK)

    async with relay(script) as it:
        wire = await it.connect()
        for method in (b"GET", b"POST", b"DELETE"):
            await wire.say(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
            assert await wire.exactly(len(OK)) == OK
            await eventually(lambda: not it.idle)
