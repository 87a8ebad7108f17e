"""Heads are read in one way or not at all."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.guard.relay.errors import Malformed
from golden.guard.relay.head import HEAD_LIMIT, Framing, field_lines, head_end, parse_answer, parse_request

token = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
text = st.from_regex(rb"[!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?", fullmatch=True)
WATCHED = {b"host", b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection",
           b"te", b"trailer", b"upgrade", b"expect"}  # fmt: skip
plain = st.lists(st.tuples(token.filter(lambda name: name.lower() not in WATCHED), text), max_size=6)


@given(token, st.from_regex(rb"/[!-~\x80-\xff]{0,30}", fullmatch=True), plain)
def test_what_means_nothing_to_us_passes_in_order_and_as_written(method, target, fields):
    head = b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, target, field_lines(fields))
    assert head_end(head + b"rest") == len(head)
    request = parse_request(head)
    assert (request.method, request.target, request.fields) == (method, target, [(b"Host", b"a"), *fields])


@given(st.binary(max_size=60).map(lambda junk: junk + b"\r\n\r\n") | st.binary(max_size=80))
def test_no_bytes_whatsoever_do_more_harm_than_a_refusal(data):
    for start in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"HTTP/1.1 200 OK\r\n"):
        with suppress(Malformed):
            end = head_end(start + data)
            if end >= 0:
                parse_request((start + data)[:end])
        with suppress(Malformed):
            parse_answer(start + data, b"GET")


@given(st.binary(min_size=1, max_size=3), st.integers(0, 60))
def test_a_control_character_anywhere_is_refused(junk, at):
    good = b"GET /path HTTP/1.1\r\nHost: example\r\nX-Field: value\r\n\r\n"
    bad = bytes(byte for byte in junk if byte < 32 and byte != 9) or b"\x00"
    at = at % (len(good) - 4)
    spoilt = good[:at] + bad + good[at:]
    if spoilt.replace(b"\r\n", b"") == good.replace(b"\r\n", b""):
        return  # a line break where there was one, or a field cut in two: judged below
    try:
        request = parse_request(spoilt)
    except Malformed:
        return
    assert b"\r\n" in bad, request  # two whole lines out of one


@pytest.mark.parametrize(
    ("method", "status", "more", "framing"),
    [
        (b"GET", 200, b"Content-Length: 5\r\n", Framing.LENGTH),
        (b"GET", 200, b"Content-Length: 0\r\n", Framing.NONE),
        (b"GET", 200, b"Transfer-Encoding: Chunked\r\n", Framing.CHUNKED),
        (b"GET", 200, b"", Framing.CLOSE),
        (b"HEAD", 200, b"Content-Length: 5\r\n", Framing.NONE),
        (b"HEAD", 200, b"Transfer-Encoding: chunked\r\n", Framing.NONE),
        (b"GET", 304, b"Content-Length: 5\r\n", Framing.NONE),
        (b"GET", 204, b"Content-Length: 5\r\n", Framing.NONE),
        (b"GET", 103, b"", Framing.NONE),
    ],
)
def test_how_an_answer_ends(method, status, more, framing):
    """RFC 9112 §6.3, row by row."""
    answer = parse_answer(b"HTTP/1.1 %d Fine\r\n%b\r\n" % (status, more), method)
    assert answer.framing is framing
    assert answer.keep_alive == (framing is not Framing.CLOSE)


def test_a_head_of_exactly_64_kib_is_read_and_one_byte_more_is_not():
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    fits = start + b"x" * (HEAD_LIMIT - len(start) - 4) + b"\r\n\r\n"
    assert head_end(fits) == HEAD_LIMIT
    with pytest.raises(Malformed) as large:
        head_end(fits[:-4] + b"x\r\n\r\n")
    assert large.value.status == 431


@pytest.mark.parametrize(
    ("fields", "websocket"),
    [
        (b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n", True),
        (b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n", True),
        (b"Connection: Upgrade\r\nUpgrade: h2c\r\n", False),
        (b"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", False),
        (b"Upgrade: websocket\r\n", False),
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", False),
    ],
)
def test_only_a_plain_handshake_becomes_a_websocket(fields, websocket):
    assert parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n").websocket is websocket
