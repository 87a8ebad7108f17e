"""The table of raw cases, against either lane."""

import asyncio
from contextlib import suppress

import pytest

from gateway.proxy.asked import read_request
from gateway.proxy.fields import Cookies
from gateway.proxy.framing import Malformed
from tests.gateway.proxy.cases import ANSWERS, CHUNK_FAULTS, CHUNKED, OK, POST, REQUESTS, Case, get
from tests.gateway.proxy.conftest import Lab, Proxy, eventually
from tests.parts.upstreams import Line

OURS = {"ours": Cookies({b"jarvis"}, (b"jarvis-flow-",))}


async def proxy_for(lab: Lab, case: Case) -> Proxy:
    async def script(line: Line) -> None:
        first = True
        while True:
            if first and line is proxy.upstream.lines[0]:
                first = False
                await line.exactly(len(case.seen))
                await line.say(case.said)
                if case.hangs_up:
                    return
            elif not await line.head():
                return
            else:
                await line.say(OK)

    proxy = await lab.proxy(script, **OURS)
    return proxy


SENT = [
    pytest.param(case, piece, id=f"{case.name}-{'in pieces' if piece else 'whole'}")
    for piece in (0, 7)
    for case in (*REQUESTS, *ANSWERS)
    if not piece or len(case.sent) <= 5000  # a large one in pieces of seven bytes tells nothing more, and takes long
]


@pytest.mark.parametrize(("case", "piece"), SENT)
async def test_case(lab: Lab, case: Case, piece: int) -> None:
    await hold_to(case, piece, lab, await proxy_for(lab, case))


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
async def test_case_whose_header_lines_are_known(lab: Lab, case: Case) -> None:
    """The third request with the same lines is not read as the first was."""
    proxy = await proxy_for(lab, case)
    assert proxy.front is not None
    for _ in range(2):
        with suppress(Malformed):
            read_request(case.sent[: case.sent.find(b"\r\n\r\n") + 4], proxy.front.blocks)
    await hold_to(case, 0, lab, proxy)


async def hold_to(case: Case, piece: int, lab: Lab, proxy: Proxy) -> None:
    client = await lab.client(proxy)
    for at in range(0, len(case.sent), piece or len(case.sent)):
        client.writer.write(case.sent[at : at + (piece or len(case.sent))])
        await asyncio.sleep(0)
    got = await client.exactly(len(case.gets))
    assert got == case.gets
    if proxy.lane is not None:
        fast = bool(case.seen) and not case.odd
        handed_over = fast and case.gets.startswith(b"HTTP/1.1 502")
        assert (proxy.lane.taken, proxy.handled) == (fast, case.odd or handed_over)
    if not case.ends:
        if case.gets.startswith(b"HTTP/1.1 502"):
            await client.until(
                b"UpstreamGarbled" if case.said.endswith(b"\r\n\r\n") or b"x" * 99 in case.said else b"Upstream"
            )
            return
        await client.say(get(target=b"/next"))
        assert await client.exactly(len(OK)) == OK
    elif case.reset:
        with pytest.raises(ConnectionResetError):
            await client.to_end()
    else:
        rest = await client.to_end()
        assert case.seen == b"" or rest == b""
    if case.seen:
        seen = proxy.upstream.lines[0].seen
        assert seen[: len(case.seen)] == case.seen
        assert seen[len(case.seen) :] in (b"", get(target=b"/next"))
    else:
        assert not proxy.upstream.lines, "a refused request reached the Machine"


@pytest.mark.parametrize("fault", CHUNK_FAULTS)
async def test_a_body_that_breaks_its_framing_ends_both_sides(lab: Lab, fault: str) -> None:
    """The Machine has part of the request already; it learns that the rest will not come."""

    async def script(line: Line) -> None:
        await line.to_end()

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(POST + CHUNKED + b"\r\n" + CHUNK_FAULTS[fault])
    assert (await client.to_end()).startswith(b"HTTP/1.1 400 ")
    await eventually(lambda: not proxy.relay.live.in_progress("k"))
    await eventually(lambda: all(line.reader.at_eof() for line in proxy.upstream.lines))
    assert not proxy.upstream.seen.endswith(b"0\r\n\r\n")


async def test_a_bad_pipelined_request_does_not_spoil_the_good_one_before_it(lab: Lab) -> None:
    proxy = await proxy_for(lab, Case(name="", sent=b"", seen=get()))
    client = await lab.client(proxy)
    await client.say(get() + get(target=b"/2") + b"NO WAY\r\n\r\n")
    assert await client.exactly(2 * len(OK)) == OK * 2
    assert (await client.to_end()).startswith(b"HTTP/1.1 400 ")
    assert proxy.upstream.seen == get() + get(target=b"/2")


async def test_a_trailer_is_no_field_of_the_next_request(lab: Lab) -> None:
    """aiohttp 3.14.5 alone turns it into one, and the next request may be somebody else's."""
    case = Case(name="", sent=b"", seen=POST + CHUNKED + b"\r\n0\r\n\r\n")
    proxy = await proxy_for(lab, case)
    client = await lab.client(proxy)
    await client.say(POST + CHUNKED + b"\r\n0\r\nCookie: evil=1\r\nX-Evil: 1\r\n\r\n")
    assert await client.exactly(len(OK)) == OK
    await client.say(get())
    assert await client.exactly(len(OK)) == OK
    assert proxy.upstream.seen == case.seen + get()
