"""A way to a TCP server on which a test can have silence: connections are taken, and nothing is said or heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from urllib.parse import urlsplit

from localcloud.database import Database


class Line:
    """Passes bytes both ways as long as it is not `silent`. What was sent meanwhile arrives when it is over."""

    def __init__(self, host: str, port: int) -> None:
        self._there = host, port
        self._open = asyncio.Event()
        self._open.set()

    @property
    def silent(self) -> bool:
        return not self._open.is_set()

    @silent.setter
    def silent(self, silent: bool) -> None:
        if silent:
            self._open.clear()
        else:
            self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """For `asyncio.start_server`."""
        await self._open.wait()
        far_reader, far_writer = await asyncio.open_connection(*self._there)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, far_writer))
                pumps.create_task(self._pump(far_reader, writer))
        finally:
            for each in (writer, far_writer):
                each.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                await self._open.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


@asynccontextmanager
async def line_to(database: Database) -> AsyncIterator[tuple[Line, Database]]:
    """The line, and the same database at its end; superusers go past it."""
    at = urlsplit(database.dsn)
    line = Line(at.hostname or "", at.port or 0)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield line, replace(database, dsn=database.dsn.replace(f":{at.port}/", f":{port}/"))
    finally:
        line.silent = False
        server.close()
