"""Bodies end where they say, however the network cuts them up."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.guard.relay.body import ChunkedBody, LengthBody, UntilClose, chunk
from golden.guard.relay.errors import Malformed

chunks = st.lists(st.binary(min_size=1, max_size=40), max_size=8)
extension = st.sampled_from([b"", b";a", b' ; a="b c"', b";x=\xff"])
trailer = st.sampled_from([b"", b"Cookie: x\r\n", b"A: 1\r\nB:2\r\n"])


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(n % (len(data) + 1) for n in at), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


def read(reader, pieces):
    """The payload, and what was left over when the body had ended."""
    payload, rest = [], b""
    for piece in pieces:
        used = 0 if reader.done else reader.feed(piece, payload)
        rest += piece[used:]
    return b"".join(payload), rest


@given(chunks, extension, trailer, st.binary(max_size=20), st.lists(st.integers(0, 2000), max_size=12))
def test_chunks_are_read_alike_however_they_are_cut(parts, ext, fields, after, at):
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(part), ext, part) for part in parts) + b"0\r\n" + fields + b"\r\n"
    assert read(ChunkedBody(), cut(body + after, at)) == (b"".join(parts), after)


@given(chunks, st.lists(st.integers(0, 2000), max_size=12))
def test_what_we_frame_we_can_read(parts, at):
    body = b"".join(b"".join(chunk([part, part])) for part in parts) + b"0\r\n\r\n"
    assert read(ChunkedBody(), cut(body, at)) == (b"".join(part * 2 for part in parts), b"")


@given(st.binary(max_size=50), st.binary(max_size=20), st.lists(st.integers(0, 100), max_size=5))
def test_a_length_is_kept_to_the_byte(body, after, at):
    assert read(LengthBody(len(body)), cut(body + after, at)) == (body, after)


@given(st.binary(), st.lists(st.integers(0, 100), max_size=5))
def test_no_bytes_whatsoever_do_more_harm_than_a_refusal(data, at):
    reader, payload = ChunkedBody(), []
    try:
        for piece in cut(data, at):
            reader.feed(piece, payload)
    except Malformed:
        pass
    assert sum(map(len, payload)) <= len(data)


@pytest.mark.parametrize(
    "body",
    [b"\r\n", b"g\r\n", b" 1\r\n", b"1 \r\n", b"+1\r\n", b"0x1\r\n", b"1\n", b"1\r\na\n", b"1\r\nab\r\n", b"1;\n\r\n",
     b"1;a\rb\r\n", b"1234567890123456\r\n", b"0\r\nA : b\r\n", b"0\r\n b\r\n", b"0\r\nab\r\n", b"1" + b";" * 5000,
     b"0\r\n" + b"A: b\r\n" * 3000, b"1\r\na" + b"x" * 3],
)  # fmt: skip
def test_broken_chunks_are_refused(body):
    with pytest.raises(Malformed):
        ChunkedBody().feed(body, [])


def test_nothing_is_no_chunk():
    """An empty chunk would be the end of the body."""
    assert chunk([]) == chunk([b""]) == []


def test_until_close_has_no_end():
    reader = UntilClose()
    assert read(reader, [b"a", b"b"]) == (b"ab", b"")
    assert not reader.done
