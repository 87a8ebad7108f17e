"""Header lines that come again are not read again, and everything is as if they were."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.asked import Asked, known_request, read_request
from gateway.proxy.block import Blocks
from gateway.proxy.fields import ASKED, Cookies
from gateway.proxy.framing import Malformed
from gateway.proxy.passage import Passage
from provisioner.instance import Endpoint
from tests.gateway.proxy.cases import REQUESTS, get

OURS = Cookies({b"jarvis"}, ())
HERE, THERE = (
    Passage(endpoint=Endpoint("127.0.0.1", port), key="k", lines=b"X-To: %d\r\n" % port, ours=OURS) for port in (1, 2)
)
BEARER = Passage(endpoint=Endpoint("127.0.0.1", 1), key="k", drop_authorization=True)
VALUES = [
    b"Accept: */*\r\n", b"Cookie: a=b; jarvis=secret\r\n", b"Cookie: c=d\r\n", b"Authorization: Bearer x\r\n",
    b"X-A: 1\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Connection: X-A\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"Expect: 100-continue\r\n",
    b"Fly-Client-IP: 1.2.3.4\r\n", b"Service-Worker: script\r\n",
]  # fmt: skip


def told(asked: Asked) -> dict[str, object]:
    """Everything that can be learned from a head."""
    names = (
        "authorization",
        "cookie",
        "expects",
        "fields",
        "head",
        "head_only",
        "host",
        "http11",
        "keep_alive",
        "length",
    )
    more = ("method", "plain", "shown", "target", "upgrade", "body", "replayable", "stub")
    said = {name: getattr(asked, name) for name in (*names, *more)}
    for name in (b"cookie", b"fly-client-ip", b"authorization", b"x-a", b"host"):
        said[f"values of {name!r}"] = asked.values(name)
    for number, passage in enumerate((HERE, THERE, BEARER, HERE)):
        said[f"for passage {number}"] = asked.for_machine(passage)
    return said


def outcome(head: bytes, blocks: Blocks | None = None) -> dict[str, object] | tuple[str, int]:
    try:
        return told(read_request(head, blocks))
    except Malformed as malformed:
        return malformed.why, malformed.status


def warm(head: bytes, blocks: Blocks) -> None:
    for _ in range(2):
        outcome(head, blocks)


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
def test_a_case_that_was_met_twice_says_what_it_said(case) -> None:
    head = case.sent[: case.sent.find(b"\r\n\r\n") + 4]
    blocks, first = Blocks(ASKED), outcome(head)
    warm(head, blocks)
    assert outcome(head, blocks) == first
    known = known_request(head, blocks)
    assert known is None or told(known) == first


@given(
    st.lists(st.sampled_from(VALUES), max_size=5).map(b"".join),
    st.lists(st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"QUERY", b"CONNECT"]), min_size=3, max_size=6),
    st.sampled_from([b"/", b"/a?b=c;d", b"//x", b"/%2e%2e/", b"/\xe9", b"*", b"http://y/"]),
)
def test_any_method_and_target_before_known_lines_is_read_as_if_they_were_new(
    fields: bytes, methods: list[bytes], target: bytes
) -> None:
    blocks = Blocks(ASKED)
    warm(get(fields), blocks)
    for method in methods:
        head = get(fields, target=target, method=method)
        known = known_request(head, blocks)
        if known is not None:
            assert told(known) == outcome(head)
        assert outcome(head, blocks) == outcome(head)


def test_what_came_twice_is_known_and_what_came_once_is_not() -> None:
    blocks = Blocks(ASKED)
    read_request(get(), blocks)
    assert known_request(get(), blocks) is None
    read_request(get(), blocks)
    assert known_request(get(), blocks) is not None
    assert known_request(get(b"X: y\r\n"), blocks) is None
    blocks.forget()
    assert known_request(get(), blocks) is None


def test_an_upgrades_lines_are_not_kept() -> None:
    """Its key is new each time, and it may stay open for days."""
    blocks = Blocks(ASKED)
    head = get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n")
    warm(head, blocks)
    assert known_request(head, blocks) is None


def test_memory_is_bounded_however_many_different_heads_come() -> None:
    blocks = Blocks(ASKED)
    for number, _ in product(range(5_000), range(2)):
        read_request(get(b"X: %d\r\n" % number), blocks)
    assert len(blocks) == 1024
    assert known_request(get(b"X: 4999\r\n"), blocks) is not None
    warm(get(b"X: %b\r\n" % (b"y" * 5_000)), blocks)
    assert known_request(get(b"X: %b\r\n" % (b"y" * 5_000)), blocks) is None
