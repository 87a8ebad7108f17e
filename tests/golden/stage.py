"""The Guard's side of the engine on a free port between raw ends, so that every byte on either side can be told."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gateway.proxy.asked import Asked
from gateway.proxy.engine import Engine
from gateway.proxy.errors import UpstreamError
from gateway.proxy.fields import ASKED_INSIDE
from gateway.proxy.passage import Passage
from gateway.proxy.plain import Plain, WholeLane
from gateway.proxy.upstream import Upstream
from golden.guard.__main__ import LIMITS
from golden.guard.answer import Answer, problem
from provisioner.clock import SystemClock
from tests.parts.upstreams import Script, Scripted, scripted

GET = b"GET /a HTTP/1.1\r\nHost: jarvis\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire:
    """A raw client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readuntil(end)

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readexactly(size)

    async def to_end(self) -> bytes:
        """Everything until the connection ends, however it ends."""
        data = b""
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while more := await self.reader.read(65536):
                    data += more
        return data

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Relay:
    """The relay under test, its upstream and its clients."""

    def __init__(self, upstream: Scripted) -> None:
        self.upstream = upstream
        self.engine = Engine(LIMITS, SystemClock())
        self.passage = Passage(endpoint=upstream.endpoint, key="k")
        self.own: Answer | None = None
        lane = WholeLane(self.engine, self._judge, self._connect, self._explain)
        self.server = Plain(LIMITS, lane, verdicts=ASKED_INSIDE, refusal=problem)
        self.port = 0
        self._wires: list[Wire] = []

    def _judge(self, asked: Asked) -> Answer | Passage:
        return self.own or self.passage

    async def _connect(self, passage: Passage) -> Upstream:
        return await self.engine.pool.connect(passage.endpoint)

    def _explain(self, error: UpstreamError) -> Answer:
        return problem(502, str(error))

    @property
    def idle(self) -> int:
        """Connections to the upstream that wait for a request."""
        return sum(len(slot._idle) for slot in self.engine.pool._slots.values())

    async def connect(self, **options: int) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**22, **options))
        self._wires.append(wire)
        return wire

    async def ask(self, data: bytes) -> bytes:
        """Everything that comes back for `data` until the connection ends."""
        wire = await self.connect()
        await wire.say(data)
        return await wire.to_end()

    async def close(self) -> None:
        for wire in self._wires:
            await wire.close()
        await self.server.shutdown(0)
        await self.engine.close()


@asynccontextmanager
async def relay(script: Script) -> AsyncIterator[Relay]:
    """A relay to an upstream that runs `script` on each connection."""
    async with scripted(script) as upstream:
        made = Relay(upstream)
        listener = socket.create_server(("127.0.0.1", 0))
        made.port = listener.getsockname()[1]
        server = await asyncio.get_running_loop().create_server(made.server, sock=listener)
        try:
            yield made
        finally:
            server.close()
            await made.close()


async def eventually(condition: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Return when `condition()` is true; it is looked at again and again, since nobody tells."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def open_files(pid: int | None = None) -> int:
    """How many files and sockets a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid or os.getpid()}/fd").iterdir())


def rss_kb(pid: int, name: str = "VmRSS") -> int:
    """Memory of a process in KB: `VmRSS` now, `VmHWM` at its highest."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)
