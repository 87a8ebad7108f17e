"""Following a WebSocket's frames without looking into them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from golden.guard.relay.tunnel import FrameWalker

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(opcode: int, size: int, *, masked: bool = False, fin: bool = True) -> bytes:
    mask = 0x80 if masked else 0
    if size < 126:
        length = bytes([mask | size])
    elif size < 1 << 16:
        length = bytes([mask | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([mask | 127]) + size.to_bytes(8, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + length + (b"mask" if masked else b"") + b"\xff" * size


frames = st.builds(
    lambda opcode, size, masked, fin: (opcode, frame(opcode, size, masked=masked, fin=fin)),
    st.sampled_from([CONTINUATION, TEXT, BINARY, PING, PONG]),
    st.sampled_from([0, 1, 5, 125, 126, 127, 65535, 65536, 70000]),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(frames, max_size=6), st.lists(st.integers(0, 400_000), max_size=10))
def test_frames_are_found_however_they_are_cut(sent, at):
    stream = b"".join(data for _, data in sent)
    edges = [0, *sorted(n % (len(stream) + 1) for n in at), len(stream)]
    walker = FrameWalker()
    moved = [walker.feed(stream[a:b]) for a, b in pairwise(edges)]
    assert walker.between_frames
    assert any(moved) == any(opcode < 8 for opcode, _ in sent)
    assert not walker.closed


@given(st.lists(frames, max_size=3), frames, st.integers(1, 400_000))
def test_in_mid_frame_there_is_no_room_for_one_of_ours(before, last, cut):
    stream = b"".join(data for _, data in before)
    walker = FrameWalker()
    walker.feed(stream)
    part = last[1][: cut % len(last[1])]
    walker.feed(part)
    assert walker.between_frames == (not part)


def test_a_large_message_counts_all_the_while():
    walker = FrameWalker()
    data = frame(BINARY, 1 << 20)
    walker.feed(data[:10])
    assert all(walker.feed(data[at : at + 1000]) for at in range(10, len(data), 1000))


def test_a_close_frame_is_noticed():
    walker = FrameWalker()
    assert not walker.feed(frame(CLOSE, 2))
    assert walker.closed
