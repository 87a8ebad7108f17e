"""Where chunked bodies end, however they arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.framing import Chunks, Malformed
from tests.gateway.proxy.cases import CHUNK_FAULTS

chunk = st.tuples(st.binary(min_size=1, max_size=300), st.sampled_from([b"", b";a", b';a="b c"']))
trailer = st.sampled_from([b"", b"X: y\r\n", b"Cookie: a=b\r\nX: y\r\n"])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a != b]


@given(st.lists(chunk, max_size=5), trailer, st.binary(max_size=20), st.lists(st.integers(0), max_size=12))
def test_any_split_gives_the_same_body_and_the_same_end(
    chunks: list[tuple[bytes, bytes]], trailer: bytes, behind: bytes, places: list[int]
) -> None:
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(data), extension, data) for data, extension in chunks) + b"0\r\n"
    walk = Chunks([])
    passed = rest = b""
    for piece in cut(framed + trailer + b"\r\n" + behind, places):
        if walk.done:
            rest += piece
        else:
            out, rest = walk.feed(piece)
            passed += out
    assert walk.done
    assert passed == b"".join(b"%x\r\n%b\r\n" % (len(data), data) for data, _ in chunks) + b"0\r\n\r\n"
    assert rest == behind
    assert walk.payload is not None
    assert b"".join(walk.payload) == b"".join(data for data, _ in chunks)


@pytest.mark.parametrize("fault", CHUNK_FAULTS)
@pytest.mark.parametrize("size", [1, 2, 10_000])
def test_anything_else_is_refused_however_it_is_cut(fault: str, size: int) -> None:
    walk = Chunks()
    data = CHUNK_FAULTS[fault]

    def feed() -> None:
        for at in range(0, len(data), size):
            walk.feed(data[at : at + size])

    with pytest.raises(Malformed):
        feed()
    assert not walk.done


def test_the_middle_of_a_chunk_is_passed_on_without_a_copy() -> None:
    walk = Chunks()
    walk.feed(b"100000\r\n")
    data = b"x" * 1000
    assert walk.feed(data)[0] is data


def test_trailers_have_an_end() -> None:
    walk = Chunks()
    walk.feed(b"0\r\n")
    with pytest.raises(Malformed):
        walk.feed((b"X: " + b"y" * 100 + b"\r\n") * 1000)
