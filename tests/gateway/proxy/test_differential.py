"""Both lanes, held against each other."""

import asyncio
import os
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.proxy.fields import Cookies
from tests.gateway.proxy.cases import OK, get
from tests.gateway.proxy.conftest import Lab
from tests.gateway.proxy.traffic import Message, Talk, cuts, pieces, play, read_answers, read_message, talks
from tests.parts.upstreams import Line, saying

EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "60"))
"""Random conversations a run holds the lanes against each other with."""
OURS = Cookies({b"jarvis"}, ())


async def transcript(talks: list[Talk], cuts: list[int], *, fast: bool) -> tuple[list[Message], list[Message], int]:
    """What the client and what the Machine saw, in order, and how many requests the fast lane had."""
    seen: list[Message] = []

    async def script(line: Line) -> None:
        while message := await read_message(line):
            seen.append(message)
            number = int(message[0].partition(b"\r\nN: ")[2].partition(b"\r\n")[0])
            await play(line, talks[number])
            if talks[number].hangs_up:
                return

    async with AsyncExitStack() as stack:
        lab = Lab(stack, fast=fast)
        proxy = await lab.proxy(script, ours=OURS)
        client = await lab.client(proxy)
        said = b"".join(talk.request for talk in talks) + get(b"N: %d\r\nConnection: close\r\n" % len(talks))
        talks = [*talks, Talk(b"", OK, False, [])]
        for piece in pieces(said, [cut * 7 for cut in cuts]):
            client.writer.write(piece)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            got = await client.to_end()
        assert not proxy.errors
        taken = proxy.lane.taken if proxy.lane is not None else 0
        assert taken + proxy.handled == len(talks)
    return read_answers(got, [talk.request.startswith(b"HEAD") for talk in talks]), seen, taken


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(talks(), cuts)
async def test_the_same_is_said_and_heard_through_either_lane(talks: list[Talk], cuts: list[int]) -> None:
    """Pipelined, cut anywhere, with lanes changing from one request to the next."""
    core, fast = await transcript(talks, cuts, fast=False), await transcript(talks, cuts, fast=True)
    assert fast[0] == core[0]
    assert fast[1] == core[1]
    assert fast[2] > core[2] == 0


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 3), cuts)
async def test_the_same_noise_gets_the_same_answer(noise: bytes, at: int, cut_out: int, cuts: list[int]) -> None:
    """A request with bytes put in and taken out somewhere: the two lanes agree even about nonsense."""
    whole = b"POST /a HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    at %= len(whole)
    sent = whole[:at] + noise + whole[at + cut_out :]

    async def through(*, fast: bool) -> tuple[bytes, list[Message]]:
        seen: list[Message] = []

        async def script(line: Line) -> None:
            try:
                while message := await read_message(line):
                    seen.append(message)
                    await line.say(OK)
            except (ValueError, AssertionError):  # nonsense passed on would show up here
                seen.append((b"nonsense", line.seen))

        async with AsyncExitStack() as stack:
            lab = Lab(stack, fast=fast)
            client = await lab.client(await lab.proxy(script, ours=OURS))
            for piece in pieces(sent + b"\r\n\r\n" + b"that is all\r\n\r\n" * 3, cuts):
                client.writer.write(piece)
                await asyncio.sleep(0)
            try:
                async with asyncio.timeout(2):
                    got = await client.to_end()
            except (ConnectionResetError, TimeoutError) as end:
                got = type(end).__name__.encode()
            return got, [message for message in seen if message[0] != b"nonsense"]

    core, fast = await through(fast=False), await through(fast=True)
    assert fast == core


@pytest.mark.parametrize("pipelined", [False, True])
async def test_lanes_take_turns_on_one_connection(pipelined: bool) -> None:
    """The platform's edge keeps its connections, and mixes all sorts of requests on them."""
    async with AsyncExitStack() as stack:
        lab = Lab(stack, fast=True)
        proxy = await lab.proxy(saying(OK))
        client = await lab.client(proxy)
        if pipelined:
            both = get(target=b"/fast") + get(target=b"/core")
            for _ in range(50):
                await client.say(both * 10)
                assert await client.exactly(20 * len(OK)) == OK * 20
        else:
            for _ in range(500):
                for target in (b"/fast", b"/core"):
                    await client.say(get(target=target))
                    assert await client.exactly(len(OK)) == OK
        assert proxy.lane is not None
        assert (proxy.lane.taken, proxy.handled) == (500, 500)
        assert proxy.upstream.seen == (get(target=b"/fast") + get(target=b"/core")) * 500
        assert len(proxy.upstream.lines) == 1
