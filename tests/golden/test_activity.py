"""What keeps a Machine awake."""

from dataclasses import dataclass

import pytest

from golden.guard.activity import Busy, busy


@dataclass
class Stream:
    moved_at: float = 0.0
    streaming: bool = True


@pytest.mark.parametrize(
    ("streams", "verdict"),
    [
        ([], Busy(False, None, 0)),
        ([Stream(moved_at=1000)], Busy(True, "open stream", 1)),
        ([Stream(moved_at=940)], Busy(True, "open stream", 1)),
        ([Stream(moved_at=939)], Busy(False, None, 1)),
        ([Stream(moved_at=0, streaming=False)], Busy(True, "open request", 1)),
        ([Stream(moved_at=0), Stream(moved_at=999), Stream(moved_at=1)], Busy(True, "open stream", 3)),
    ],
)
def test_open_requests_do_and_streams_while_they_move(streams, verdict):
    """A minute without payload, and a forgotten tab lets the Machine sleep."""
    assert busy(streams, now=1000) == verdict
