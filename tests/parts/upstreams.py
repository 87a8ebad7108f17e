"""Raw servers in the place of a Machine: they read bytes, say bytes and tell what they saw."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from provisioner.instance import Endpoint

Script = Callable[["Line"], Awaitable[None]]


class Line:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.seen = b""

    async def head(self) -> bytes:
        """The next request head, empty line included; empty at the end of the connection."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as end:
            head = end.partial
        self.seen += head
        return head

    async def exactly(self, size: int) -> bytes:
        data = await self.reader.readexactly(size)
        self.seen += data
        return data

    async def until(self, end: bytes) -> bytes:
        data = await self.reader.readuntil(end)
        self.seen += data
        return data

    async def to_end(self) -> bytes:
        data = b""
        with suppress(ConnectionError):
            while more := await self.reader.read(65536):
                data += more
        self.seen += data
        return data

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def hang_up(self, *, rudely: bool = False) -> None:
        self.writer.transport.abort() if rudely else self.writer.close()


class Scripted:
    """A listening upstream. Each connection runs `script`; `lines` keeps them in order of arrival."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.lines: list[Line] = []
        self.endpoint = Endpoint("", 0)
        self.failures: list[BaseException] = []

    @property
    def seen(self) -> bytes:
        return b"".join(line.seen for line in self.lines)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        self.lines.append(line)
        try:
            await self.script(line)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception as failure:
            self.failures.append(failure)
        finally:
            writer.close()


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Scripted]:
    """An upstream on a free port, gone at the end with all its connections."""
    upstream = Scripted(script)
    server = await asyncio.start_server(upstream._serve, "127.0.0.1", 0, limit=2**22)
    upstream.endpoint = Endpoint(*server.sockets[0].getsockname()[:2])
    try:
        yield upstream
    finally:
        server.close()
        for line in upstream.lines:
            line.writer.transport.abort()
        for line in upstream.lines:
            with suppress(ConnectionError):
                await line.writer.wait_closed()
        assert not upstream.failures, upstream.failures


def saying(*answers: bytes) -> Script:
    """One answer a request (without a body), in order; the last one again and again."""

    async def script(line: Line) -> None:
        left = list(answers)
        while await line.head():
            await line.say(left.pop(0) if len(left) > 1 else left[0])

    return script
