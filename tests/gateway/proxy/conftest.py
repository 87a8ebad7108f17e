"""A Front and a Relay over real sockets, and a client that speaks raw bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import pytest
import uvloop
from aiohttp import web

from gateway.proxy.asked import Asked
from gateway.proxy.errors import UpstreamError
from gateway.proxy.lane import Lane
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.relay import Passage, Relay
from gateway.proxy.server import Front
from provisioner.clock import Clock, SystemClock
from provisioner.instance import Endpoint
from tests.parts.upstreams import Script, Scripted, scripted


class Client:
    """One raw connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, end: bytes = b"\r\n\r\n") -> bytes:
        return await self.reader.readuntil(end)

    async def exactly(self, size: int) -> bytes:
        return await self.reader.readexactly(size)

    async def to_end(self) -> bytes:
        """Everything until the connection ends; raises ConnectionResetError if it ends in a reset."""
        return await self.reader.read()

    def hang_up(self, *, rudely: bool = False) -> None:
        self.writer.transport.abort() if rudely else self.writer.close()

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Proxy:
    """A Front whose handler relays everything to one upstream."""

    def __init__(self, upstream: Scripted | None, relay: Relay, passage: Passage, *, fast: bool) -> None:
        self.upstream, self.relay, self.passage = upstream, relay, passage
        self.lane = Lane(relay, self.decide) if fast else None
        self.fast_passage: Passage | None = None
        """For the fast lane, where it is another."""
        self.front: Front | None = None
        self.port = 0
        self.errors: list[UpstreamError] = []
        self.handled = 0
        """Requests that came to the core."""
        self.touched = 0
        self.own: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] | None = None

    def touch(self) -> None:
        self.touched += 1

    def decide(self, asked: Asked, peer: str) -> Passage | None:
        assert peer == "127.0.0.1"
        return None if asked.target.startswith((b"/own", b"/core")) else self.fast_passage or self.passage

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.handled += 1
        if self.own is not None and request.raw_path.startswith("/own"):
            return await self.own(request)
        try:
            return await self.relay.relay(request, self.passage)
        except UpstreamError as error:
            self.errors.append(error)
            return web.Response(status=502, text=type(error).__name__)


class Lab:
    """Opens proxies and clients, and closes them in the end."""

    def __init__(self, stack: AsyncExitStack, *, fast: bool) -> None:
        self._stack = stack
        self.fast = fast

    async def proxy(
        self,
        script: Script | None = None,
        *,
        endpoint: Endpoint | None = None,
        limits: ProxyLimits | None = None,
        clock: Clock | None = None,
        fast: bool | None = None,
        **passage: object,
    ) -> Proxy:
        upstream = await self._stack.enter_async_context(scripted(script)) if script is not None else None
        target = endpoint or (upstream.endpoint if upstream else Endpoint("127.0.0.1", 1))
        limits = limits or ProxyLimits(tick_s=0.02)
        relay = Relay(limits, clock or SystemClock())
        made = Proxy(upstream, relay, Passage(endpoint=target, key="k"), fast=self.fast if fast is None else fast)
        made.passage = replace(made.passage, touch=made.touch, **passage)
        await self._stack.enter_async_context(_listening(made, limits))
        return made

    async def client(self, proxy: Proxy) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=2**22)
        client = Client(reader, writer)
        self._stack.push_async_callback(client.close)
        return client


@asynccontextmanager
async def _listening(proxy: Proxy, limits: ProxyLimits) -> AsyncIterator[None]:
    front = proxy.front = Front(proxy.handle, limits, lane=proxy.lane)
    server = await asyncio.get_running_loop().create_server(front, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        await proxy.relay.close()
        await front.shutdown(1.0)
        await asyncio.sleep(0)


@pytest.fixture(params=["core", "fast"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """Everything that holds for one lane holds for the other."""
    async with AsyncExitStack() as stack:
        yield Lab(stack, fast=request.param == "fast")


@pytest.fixture
async def fast() -> AsyncIterator[Lab]:
    """For what is only said of the fast lane."""
    async with AsyncExitStack() as stack:
        yield Lab(stack, fast=True)


async def eventually(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Return once `condition()` holds; fail loudly if it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "never happened"
        await asyncio.sleep(0.005)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], object]]:
    """As in production."""
    return {"uvloop": uvloop.new_event_loop}
