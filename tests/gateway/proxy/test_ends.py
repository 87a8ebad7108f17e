"""However an exchange ends, nothing of it stays."""

import asyncio
import gc
import os
import random
from pathlib import Path

import pytest

from gateway.proxy.limits import ProxyLimits
from tests.gateway.proxy.cases import CHUNKED, OK, POST, answer, get
from tests.gateway.proxy.conftest import Lab, eventually
from tests.parts.upstreams import Line

UPGRADE = get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
SWITCHED = answer(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", status=b"101 Switching Protocols")


ABRUPT_ENDS = int(os.environ.get("ABRUPT_ENDS", "4000"))
"""Visits of the leak test, of each lane; 20000 is the promise, and takes longer than one likes to wait every time."""


def sockets() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def memory_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 2", answer(CHUNKED), answer(b"Content-Length: 9\r\n", b"abc")])
@pytest.mark.parametrize("rudely", [True, False])
async def test_a_client_that_leaves_frees_the_machine(lab: Lab, said: bytes, rudely: bool) -> None:
    async def script(line: Line) -> None:
        await line.head()
        if said:
            await line.say(said)
        await line.to_end()

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(get())
    await eventually(lambda: proxy.upstream is not None and proxy.upstream.seen)
    if said.endswith((b"\r\n", b"abc")):
        await client.until()
    client.hang_up(rudely=rudely)
    await eventually(lambda: not proxy.relay.live.in_progress("k"))
    await eventually(lambda: proxy.upstream.lines[0].reader.at_eof())


async def test_a_client_that_leaves_within_its_body_frees_the_machine(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.exactly(3)
        await line.to_end()

    proxy = await lab.proxy(script)
    client = await lab.client(proxy)
    await client.say(POST + b"Content-Length: 1000\r\n\r\nabc")
    await eventually(lambda: proxy.upstream.seen.endswith(b"abc"))
    client.hang_up()
    await eventually(lambda: not proxy.relay.live.in_progress("k"))
    await eventually(lambda: proxy.upstream.lines[0].reader.at_eof())


async def test_a_websocket_ends_with_either_side(lab: Lab) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.say(SWITCHED)
        if await line.reader.read(1) == b"q":
            await line.say(b"last words")
            return
        await line.to_end()

    proxy = await lab.proxy(script)
    left = await lab.client(proxy)
    await left.say(UPGRADE)
    await left.until()
    left.hang_up()
    await eventually(lambda: proxy.upstream.lines and proxy.upstream.lines[0].reader.at_eof())
    stays = await lab.client(proxy)
    await stays.say(UPGRADE)
    await stays.until()
    await stays.say(b"q")
    assert await stays.to_end() == b"last words"
    await eventually(lambda: not proxy.relay.live.in_progress("k"))


async def test_thousands_of_abrupt_ends_leave_nothing(lab: Lab) -> None:
    """Clients and Machines that vanish at any moment cost no socket, task, entry or memory."""
    dice = random.Random(7)

    async def script(line: Line) -> None:
        head = await line.head()
        fate = dice.randrange(5)
        if fate == 0:
            line.hang_up(rudely=True)
        elif fate == 1:
            await line.say(answer(CHUNKED, b"3\r\nabc\r\n"))
            line.hang_up(rudely=dice.random() < 0.5)
        elif fate == 2:
            await line.say(SWITCHED if b"Upgrade" in head else OK)
            await line.reader.read(1)
        elif fate == 3:
            await line.say(OK[: dice.randrange(len(OK))])
        else:
            await line.to_end()

    proxy = await lab.proxy(script, limits=ProxyLimits(tick_s=0.02, idle_pool_s=0.1))

    async def visit() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(dice.choice([get(), UPGRADE, POST + b"Content-Length: 99\r\n\r\nabc", get()[:20], get() + get()]))
        if dice.random() < 0.6:
            try:
                async with asyncio.timeout(dice.random() * 0.03):
                    await reader.read(dice.randrange(1, 200))
            except (TimeoutError, ConnectionError):
                pass
        writer.transport.abort() if dice.random() < 0.5 else writer.close()

    async def crowd(visits: int) -> tuple[int, int]:
        """Sockets, and KiB of memory, once everybody is gone."""
        for _ in range(visits // 50):
            await asyncio.gather(*(visit() for _ in range(50)))
            proxy.errors.clear()
            for line in proxy.upstream.lines[:-50]:
                line.hang_up(rudely=True)
            del proxy.upstream.lines[:-50]
        await eventually(lambda: proxy.relay.live.forget() and proxy.relay.live.in_progress("k") == 0)
        for line in proxy.upstream.lines:
            line.hang_up(rudely=True)
        proxy.upstream.lines.clear()
        proxy.relay.drop_pool(proxy.passage.endpoint)
        await eventually(lambda: len(asyncio.all_tasks()) == 1)  # this test
        gc.collect()
        return sockets(), memory_kb()

    before = await crowd(1000)
    after = await crowd(ABRUPT_ENDS)
    await eventually(lambda: sockets() <= before[0] + 5, 15.0)  # whoever lingers for a last word has gone by then
    assert after[1] <= before[1] * 1.05
    assert proxy.lane is None or proxy.lane.taken > ABRUPT_ENDS / 2
