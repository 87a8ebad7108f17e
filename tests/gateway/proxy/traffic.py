"""Random traffic for both lanes: requests, answers to them, and how the bytes are cut; and a reading of what passed."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

from tests.gateway.proxy.cases import CHUNKED, H, answer
from tests.parts.upstreams import Line

END = b"\r\n\r\n"
Message = tuple[bytes, bytes]
"""A head, and the body without its framing."""


@dataclass(frozen=True, slots=True)
class Talk:
    """One request and what the Machine says to it. `cuts` are where the answer is cut."""

    request: bytes
    said: bytes
    hangs_up: bool
    cuts: list[int]


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return (data[a:b] for a, b in pairwise(edges) if a != b)


def chunked(data: bytes, sizes: list[int]) -> bytes:
    """`data` in chunks of at most these sizes, the rest in one."""
    out = b""
    for size in sizes:
        piece, data = data[:size], data[size:]
        if piece:
            out += b"%X\r\n%b\r\n" % (len(piece), piece)
    return out + (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n"


cuts = st.lists(st.integers(0, 2000), max_size=4)
body = st.binary(max_size=400)
sizes = st.lists(st.integers(1, 60), max_size=4)
odd_fields = st.sampled_from([b"Connection: X-A\r\nX-A: 1\r\n", b"Expect: tea\r\n", b"Upgrade: h2c\r\n"])
fields = st.lists(
    st.sampled_from(
        [
            b"Cookie: a=1; jarvis=x\r\n",
            b"Cookie: b=2\r\n",
            b"X-Forwarded-For: 1\r\n",
            b"Connection: keep-alive\r\n",
            b"Accept: */*\r\n",
            b"TE: trailers\r\n",
            b"X: " + b"y" * 300 + b"\r\n",
        ]
    ),
    max_size=4,
).map(b"".join)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A well-formed request; one in a few is for the core."""
    target = draw(st.sampled_from([b"/", b"/a?b=%20", b"/core", b"/" + b"t" * 500, b"http://x/abs"]))
    more = draw(fields) + draw(st.one_of(st.just(b""), st.just(b""), odd_fields))
    kind = draw(st.sampled_from(["get", "get", "head", "length", "chunks"]))
    if kind in ("get", "head"):
        return (b"HEAD " if kind == "head" else b"GET ") + target + b" HTTP/1.1\r\n" + H + more + b"\r\n"
    data = draw(body)
    head = b"POST " + target + b" HTTP/1.1\r\n" + H + more
    if kind == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(data) + data
    framed = chunked(data, draw(sizes))
    if draw(st.booleans()):
        framed = framed[:-2] + b"Trailer-X: 1\r\nCookie: evil=1\r\n\r\n"
    return head + CHUNKED + b"\r\n" + framed


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool]:
    """What a Machine says, and whether it hangs up behind it."""
    data = draw(body)
    kind = draw(st.sampled_from(["length", "chunks", "to the end", "204", "304", "interim", "closing"]))
    if kind == "chunks":
        return answer(CHUNKED, chunked(data, draw(sizes))), False
    if kind == "to the end":
        return answer(b"A: b\r\n", data), True
    if kind == "204":
        return answer(status=b"204 No Content"), False
    if kind == "304":
        return answer(b"Content-Length: 7\r\n", status=b"304 Not Modified"), False
    plain = answer(b"Content-Length: %d\r\n" % len(data), data)
    if kind == "interim":
        return answer(b"Link: a\r\n", status=b"103 Early Hints") + plain, False
    if kind == "closing":
        return plain.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), True
    return plain, False


@st.composite
def talks(draw: st.DrawFn) -> list[Talk]:
    """What one client says in a row, for one connection."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        request = draw(requests()).replace(H, H + b"N: %d\r\n" % number, 1)
        said, hangs_up = draw(answers())
        if request.startswith(b"HEAD"):
            said, hangs_up = answer(b"Content-Length: 9\r\n"), False
        made.append(Talk(request, said, hangs_up, draw(cuts)))
    return made


async def read_message(line: Line) -> Message | None:
    """The next request that reaches a Machine; None at the end."""
    head = await line.head()
    if not head:
        return None
    low = head.lower()
    if b"content-length: " in low:
        return head, await line.exactly(int(low.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    data = b""
    if b"transfer-encoding: chunked" in low:
        while size := int(await line.until(b"\r\n"), 16):
            data += await line.exactly(size)
            assert await line.exactly(2) == b"\r\n"
        assert await line.exactly(2) == b"\r\n"
    return head, data


async def play(line: Line, talk: Talk) -> None:
    for piece in pieces(talk.said, talk.cuts):
        await line.say(piece)
        await asyncio.sleep(0)


def read_answers(data: bytes, heads_only: list[bool]) -> list[Message]:
    """The messages in what a client got; `heads_only`: for each final one, whether it answers a HEAD."""
    read: list[Message] = []
    final = iter(heads_only)
    while data:
        head, _, data = data.partition(END)
        low, body = head.lower(), b""
        if not low.startswith(b"http/1.1 1"):
            no_body = next(final) or low.startswith((b"http/1.1 204", b"http/1.1 304"))
            if no_body:
                pass
            elif b"transfer-encoding: chunked" in low:
                while True:
                    size, _, data = data.partition(b"\r\n")
                    body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
                    if size == b"0":
                        break
            else:
                length = int(low.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body, data = data[:length], data[length:]
        read.append((head, body))
    return read
