"""As much of an HTTP/1.1 server as a test's App needs, from the standard library.

Every Machine of a test starts an App, and a framework takes several times as long to be imported as this to serve.
The only client is the Guard, whose requests are well formed: nothing is defended against here.
"""

import asyncio
import json
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qs, unquote

Field = tuple[str, str]
Handler = Callable[["Exchange"], Awaitable[None]]
READ_B: Final = 1 << 16
HEAD_B: Final = 1 << 18
WIND_UP_S: Final = 1.0
"""How long what is under way may go on after a signal to stop."""


class Exchange:
    """A request, and the answer to it: `say` in one, or `begin`, `send` any number of times, and `end`."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head, self.reader, self.writer = head, reader, writer
        line, *fields = head.split(b"\r\n")
        self.method, self.target, _ = line.decode("latin-1").split(" ", 2)
        path, _, query = self.target.partition("?")
        self.path, self._query = unquote(path), parse_qs(query, keep_blank_values=True)
        pairs = (field.partition(b":") for field in fields)
        self.fields: list[Field] = [
            (name.decode("latin-1"), value.strip(b" \t").decode("utf-8", "replace")) for name, _, value in pairs
        ]
        self.begun = False
        self.farewell: Callable[[], Awaitable[None]] | None = None
        """Set by who takes the connection for another protocol: says goodbye in it."""
        self.body: AsyncIterator[bytes] = self._body()
        """What the request carries, as it comes. To be gone through once."""
        self._chunked = self._mute = False

    def field(self, name: str) -> str:
        """The header field's value, empty if there is none."""
        return next((value for each, value in self.fields if each.lower() == name), "")

    def asked(self, name: str, default: str | None = None) -> str:
        """A parameter of the query. Raises KeyError if it is not there and has no default."""
        return self.all_asked(name)[0] if default is None or name in self._query else default

    def all_asked(self, name: str) -> list[str]:
        """A parameter as often as it was given. Raises KeyError if it is not there."""
        return self._query[name]

    async def begin(self, status: int = 200, *fields: Field, length: int | None = None) -> None:
        """The head of the answer. In chunks if nobody knows its length, in bytes."""
        self.begun = True
        bodiless = status in (204, 304)
        self._mute = bodiless or self.method == "HEAD"
        self._chunked = length is None and not bodiless
        framing = [("Transfer-Encoding", "chunked")] if self._chunked else []
        if length is not None and not bodiless:
            framing = [("Content-Length", str(length))]
        head = "".join(f"{name}: {value}\r\n" for name, value in (*fields, *framing))
        self.writer.write(f"HTTP/1.1 {status} {'OK' if status == 200 else 'Told'}\r\n{head}\r\n".encode())
        await self.writer.drain()

    async def send(self, piece: bytes) -> None:
        """A piece of the answer's body; waits while the other side is slower."""
        if piece and not self._mute:
            self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
            await self.writer.drain()

    async def end(self) -> None:
        if self._chunked and not self._mute:
            self.writer.write(b"0\r\n\r\n")
            await self.writer.drain()

    async def say(self, text: str, *fields: Field, status: int = 200, kind: str = "text/plain") -> None:
        """The whole answer."""
        body = text.encode()
        await self.begin(status, ("Content-Type", f"{kind}; charset=utf-8"), *fields, length=len(body))
        await self.send(body)

    async def tell(self, told: Any) -> None:
        """The whole answer, as JSON."""
        await self.say(json.dumps(told), kind="application/json")

    async def _body(self) -> AsyncIterator[bytes]:
        if self.field("transfer-encoding").lower() != "chunked":
            async for piece in self._exactly(int(self.field("content-length") or "0")):
                yield piece
            return
        while size := int((await self.reader.readline()).partition(b";")[0], 16):
            async for piece in self._exactly(size):
                yield piece
            await self.reader.readline()
        while (await self.reader.readline()).strip():
            pass  # trailers

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self.reader.read(min(size, READ_B))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(piece)
            yield piece


class Routes:
    """Which handler answers which path."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[tuple[str, ...], Handler]] = {}

    def add(self, path: str, *methods: str) -> Callable[[Handler], Handler]:
        """The handler of `path`, for any method if none is named."""

        def keep(handler: Handler) -> Handler:
            self._handlers[path] = methods, handler
            return handler

        return keep

    def get(self, path: str) -> Callable[[Handler], Handler]:
        return self.add(path, "GET", "HEAD")

    async def answer(self, exchange: Exchange) -> None:
        if exchange.path not in self._handlers:
            return await exchange.say("404: Not Found", status=404)
        methods, handler = self._handlers[exchange.path]
        if methods and exchange.method not in methods:
            return await exchange.say("405: Method Not Allowed", ("Allow", ",".join(methods)), status=405)
        try:
            await handler(exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            raise  # the other side left
        except Exception:
            traceback.print_exc()
            if exchange.begun:
                raise ConnectionAbortedError from None
            await exchange.say("500: Internal Server Error", status=500)
        return None


class _Connection(asyncio.StreamReaderProtocol):
    """One request after the other. What is being answered is cancelled when the other side leaves."""

    def __init__(self, routes: Routes, everybody: set["_Connection"]) -> None:
        super().__init__(asyncio.StreamReader(limit=HEAD_B), self._begin)
        self._routes, self._everybody = routes, everybody
        self.now: Exchange | None = None
        """What is being answered."""
        self.work: asyncio.Task[None] | None = None

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._everybody.add(self)
        self.work = asyncio.get_running_loop().create_task(self._converse(reader, writer))

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # who has nothing more to say is not listening either

    def connection_lost(self, fault: Exception | None) -> None:
        super().connection_lost(fault)
        self._everybody.discard(self)
        # Another protocol has its own last words, which may still wait to be read, and then sees the end by itself.
        if self.work and not (self.now and self.now.farewell):
            self.work.cancel()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.now = exchange = Exchange(head.removesuffix(b"\r\n\r\n"), reader, writer)
                if exchange.field("expect").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await self._routes.answer(exchange)
                if exchange.farewell:
                    return
                async for _ in exchange.body:
                    pass  # the next request begins behind it
                self.now = None
                if exchange.field("connection").lower() == "close":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side left
        finally:
            writer.close()


async def serve(routes: Routes, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then say goodbye and let what is under way end, for a moment."""
    loop, stop, everybody = asyncio.get_running_loop(), asyncio.Event(), set[_Connection]()
    server = await loop.create_server(lambda: _Connection(routes, everybody), host, port, backlog=128)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    server.close()
    under_way = [connection for connection in everybody if connection.now]
    for connection in under_way:
        if connection.now and connection.now.farewell:
            await connection.now.farewell()
    working = [connection.work for connection in under_way if connection.work]
    if working:
        await asyncio.wait(working, timeout=WIND_UP_S)
    left = [connection.work for connection in everybody if connection.work]
    for work in left:
        work.cancel()
    await asyncio.gather(*left, return_exceptions=True)
