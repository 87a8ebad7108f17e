"""The walk over WebSocket frames, however they arrive."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.frames import Frames, close_frame
from tests.gateway.proxy.test_framing import cut

DATA, CONTROL = (0, 1, 2), (8, 9, 10)


def frame(opcode: int, payload: bytes, *, masked: bool, final: bool = True) -> bytes:
    size = len(payload)
    top = 0x80 if masked else 0
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([top | size])
    elif size < 65536:
        head += bytes([top | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([top | 127]) + size.to_bytes(8, "big")
    return head + (b"\x01\x02\x03\x04" if masked else b"") + payload


frames = st.builds(
    frame,
    st.sampled_from(DATA + CONTROL),
    st.one_of(st.binary(max_size=125), st.integers(126, 70_000).map(lambda n: b"\xff" * n)),
    masked=st.booleans(),
    final=st.booleans(),
)


@given(st.lists(frames, min_size=1, max_size=6), st.lists(st.integers(0), max_size=10))
def test_every_read_is_judged_by_the_frames_it_belongs_to(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    owner = [part[0] & 0x0F for part in parts for _ in part]  # of every byte, the opcode of its frame
    ends = {sum(map(len, parts[: n + 1])) for n in range(len(parts))}
    walk, at = Frames(), 0
    for piece in cut(stream, places):
        moved = walk.feed(piece)
        at += len(piece)
        expected = any(opcode in DATA for opcode in owner[at - len(piece) : at])
        assert moved == expected
        assert walk.at_boundary == (at in ends)
    assert walk.closed == any(part[0] & 0x0F == 8 for part in parts)


@given(frames, frames, st.integers(0), st.integers(0))
def test_finish_finds_the_end_of_the_current_frame(first: bytes, second: bytes, begun: int, split: int) -> None:
    walk = Frames()
    begun %= len(first)
    walk.feed(first[:begun])
    rest = first[begun:] + second
    found, at = 0, 0
    for piece in cut(rest, [split]):
        if walk.at_boundary:
            break
        found = at + walk.finish(piece)
        at += len(piece)
    assert walk.at_boundary
    assert found == (len(first) - begun if begun else 0)


def test_close_frames_carry_their_code() -> None:
    assert close_frame(1001, masked=False) == b"\x88\x02\x03\xe9"
    assert close_frame(1012, masked=True) == b"\x88\x82\0\0\0\0\x03\xf4"
