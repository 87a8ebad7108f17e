"""What the relay lets through of a request, and what it refuses before anybody else reads it."""

import asyncio
import json

import pytest

from golden.guard.answer import Answer
from tests.golden.stage import GET, OK, relay
from tests.parts.upstreams import Line, saying

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
REFUSED = {
    "both lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "the same length twice": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "two lengths in one": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nabcde",
    "length +5": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
    "length 0x5": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde",
    "length empty": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
    "coding xchunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "coding gzip, chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "coding chunked twice": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding identity": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n  2\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "one bare LF": b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\x002\r\n\r\n",
    "a field without colon": b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "a nameless field": b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "a target of another scheme": b"GET ftp://elsewhere/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target without a path": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"\r\n2\r\nabc\r\n0\r\n\r\n",
    "a chunk size of 0x2": CHUNKED + b"\r\n0x2\r\nab\r\n0\r\n\r\n",
    "a chunk size of -1": CHUNKED + b"\r\n-1\r\nab\r\n0\r\n\r\n",
    "a chunk size with bare LF": CHUNKED + b"\r\n2\nab\r\n0\r\n\r\n",
    "a malformed trailer": CHUNKED + b"\r\n0\r\nX : 1\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED)
async def test_what_two_readers_could_read_differently_is_refused(request_bytes):
    """And what follows on the connection is not taken for a request."""
    async with relay(saying(OK)) as it:
        answer = await it.ask(request_bytes + GET)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in answer
        assert b"Connection: close" in answer
        assert answer.count(b"HTTP/1.1") == 1 or b"not HTTP/1.1" in answer
        assert b"GET /a" not in it.upstream.seen


async def test_nobody_gets_a_tunnel():
    async with relay(saying(OK)) as it:
        answer = await it.ask(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert answer.count(b"HTTP/1.1") == 1
        assert not it.upstream.seen


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (b"GET http://Elsewhere:81/x?y HTTP/1.1\r\nHost: a", b"GET /x?y HTTP/1.1\r\nHost: Elsewhere:81"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a", b"OPTIONS * HTTP/1.1\r\nHost: a"),
        (b"GET /x HTTP/1.0\r\nConnection: keep-alive", b"GET /x HTTP/1.1\r\nHost:"),
    ],
)
async def test_unusual_forms_of_a_request_arrive_as_the_usual_one(asked, seen):
    """With one truth about its host, so that nobody behind can read another."""
    async with relay(saying(OK)) as it:
        wire = await it.connect()
        await wire.say(asked + b"\r\n\r\n")
        await wire.until(b"ok")
        assert it.upstream.seen == seen + b"\r\n\r\n"


async def test_an_endless_head_is_cut_off_at_64_kib():
    async with relay(saying(OK)) as it:
        answer = await it.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert not it.upstream.seen


async def test_a_bad_request_does_not_spoil_the_good_one_before_it():
    async with relay(saying(OK)) as it:
        answer = await it.ask(GET + REFUSED["both lengths"])
        assert answer.startswith(OK)
        assert answer[len(OK) :].startswith(b"HTTP/1.1 400 ")


async def test_targets_and_fields_go_through_byte_for_byte():
    target = b"/%2e%2E//a;b=1/\xc3\xa4?x=%20+&y=[1]|#f"
    fields = b"Host: Jarvis:80\r\nX-a_B: \t 1,  2 \r\nX-Forwarded-For: 1.2.3.4\r\ncookie: a=b;c\r\nCookie: d=\xff\r\n"
    async with relay(saying(OK)) as it:
        wire = await it.connect()
        await wire.say(b"PROPFIND %b HTTP/1.1\r\n%b\r\n" % (target, fields))
        assert await wire.exactly(len(OK)) == OK
        expected = fields.replace(b"cookie: a=b;c\r\nCookie: d", b"Cookie: a=b;c; d")  # RFC 6265 §5.4: one Cookie field
        assert it.upstream.seen == b"PROPFIND %b HTTP/1.1\r\n%b\r\n" % (target, expected)


async def test_hop_by_hop_fields_end_here():
    async with relay(saying(OK)) as it:
        wire = await it.connect()
        await wire.say(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Secret , host\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n"
            b"TE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nX-Public: 2\r\n\r\n"
        )
        await wire.exactly(len(OK))
        assert it.upstream.seen == b"GET / HTTP/1.1\r\nHost: a\r\nX-Public: 2\r\n\r\n"


async def test_chunks_go_up_without_their_extensions_and_trailers():
    async def script(line: Line) -> None:
        await line.head()
        await line.until(b"0\r\n\r\n")
        await line.say(OK)
        await line.head()
        await line.say(OK)

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(CHUNKED + b"\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nCookie: evil=1\r\n\r\n")
        assert await wire.exactly(len(OK)) == OK
        assert it.upstream.seen.endswith(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        await wire.say(GET)  # the trailer has not become a part of the next request
        assert await wire.exactly(len(OK)) == OK
        assert b"evil" not in it.upstream.seen


async def test_an_upload_is_passed_on_as_it_comes():
    """The App sees the first bytes before the client has thought of the last."""
    first = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.exactly(3)
        first.set()
        await line.exactly(3)
        await line.say(OK)

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        await asyncio.wait_for(first.wait(), 10)
        await wire.say(b"def")
        assert await wire.exactly(len(OK)) == OK
        assert it.upstream.seen.endswith(b"\r\n\r\nabcdef")


async def test_a_client_that_expects_100_gets_it_from_the_app():
    async def script(line: Line) -> None:
        assert b"Expect: 100-continue" in await line.head()
        await line.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        await line.exactly(3)
        await line.say(OK)

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert await wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.say(b"abc")
        assert await wire.exactly(len(OK)) == OK


async def test_a_client_that_expects_100_may_get_the_final_answer_instead():
    async with relay(saying(b"HTTP/1.1 413 Too Big\r\nContent-Length: 0\r\n\r\n")) as it:
        answer = await it.ask(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n\r\n")
        assert answer == b"HTTP/1.1 413 Too Big\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def test_requests_in_one_packet_are_answered_in_order():
    async def script(line: Line) -> None:
        while head := await line.head():
            name = head.split()[1]
            await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))

    async with relay(script) as it:
        wire = await it.connect()
        await wire.say(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(1000, 1300)))
        for number in range(1000, 1300):
            assert (await wire.until(b"/%d" % number)).endswith(b"\r\n\r\n/%d" % number)
        assert len(it.upstream.lines) == 1


async def test_an_empty_line_before_a_request_is_overlooked():
    async with relay(saying(OK)) as it:
        wire = await it.connect()
        await wire.say(b"\r\n" + GET)
        assert await wire.exactly(len(OK)) == OK


async def test_a_request_may_come_byte_by_byte():
    async with relay(saying(OK)) as it:
        wire = await it.connect()
        for at in range(len(GET)):
            await wire.say(GET[at : at + 1])
            await asyncio.sleep(0)
        assert await wire.exactly(len(OK)) == OK
        assert it.upstream.seen == GET


async def test_an_answer_of_our_own_leaves_the_connection_usable():
    async with relay(saying(OK)) as it:
        it.own = Answer(200, json.dumps({}).encode())
        wire = await it.connect()
        await wire.say(GET)
        assert (await wire.until(b"{}")).startswith(b"HTTP/1.1 200 OK\r\n")
        await wire.say(b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Content-Length: 2" in await wire.until(b"\r\n\r\n")
        it.own = None
        await wire.say(GET)
        assert await wire.exactly(len(OK)) == OK


async def test_a_refused_upload_gets_its_answer_though_nobody_reads_the_rest():
    async with relay(saying(OK)) as it:
        it.own = Answer(401, b"no")
        answer = await it.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.endswith(b"no")
