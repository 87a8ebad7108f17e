"""All client connections of one listener, and what ends them; and a lane that needs no core behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from gateway.proxy.block import Blocks
from gateway.proxy.fields import ASKED, Verdicts
from gateway.proxy.front import FrontConnection
from gateway.proxy.lane import Lane, Run
from gateway.proxy.passage import Passage

if TYPE_CHECKING:
    from gateway.proxy.asked import Asked
    from gateway.proxy.engine import Engine
    from gateway.proxy.errors import UpstreamError
    from gateway.proxy.front import Core
    from gateway.proxy.limits import ProxyLimits
    from gateway.proxy.upstream import Upstream

_LOOKS: Final = 8
"""In the time an idle connection is kept: one timer for all instead of one each."""


class Own(Protocol):
    """A small answer that comes from no Machine."""

    def encode(self, *, head_only: bool, keep_alive: bool) -> bytes:
        """The whole of it as it goes over the wire; `head_only`: without its body."""


class Words:
    """An answer in plain words, to what is no request."""

    def __init__(self, status: int, why: str) -> None:
        self._title = f"{status} {HTTPStatus(status).phrase}"
        self._text = f"{self._title}: {why}.\n"

    def encode(self, *, head_only: bool, keep_alive: bool) -> bytes:
        head = f"HTTP/1.1 {self._title}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        end = "" if keep_alive else "Connection: close\r\n"
        return f"{head}Content-Length: {len(self._text)}\r\n{end}\r\n{'' if head_only else self._text}".encode()


class Plain:
    """A protocol factory for `loop.create_server`, for a lane that takes every request."""

    def __init__(
        self,
        limits: "ProxyLimits",
        lane: Lane | None,
        *,
        verdicts: Verdicts = ASKED,
        refusal: Callable[[int, str], Own] = Words,
    ) -> None:
        """`verdicts`: which fields of a request pass. `refusal`: the answer to bytes that are no request."""
        self.limits, self.lane = limits, lane
        self.blocks, self.refusal = Blocks(verdicts), refusal
        self.connections: set[FrontConnection] = set()
        self._looker: asyncio.TimerHandle | None = None
        self._all_closed: asyncio.Event | None = None

    def __call__(self) -> FrontConnection:
        return FrontConnection(self)

    def core_for(self, connection: FrontConnection) -> "Core":
        """Who gets what the lane does not take."""
        raise LookupError("there is no core: the lane has to take every request")

    def opened(self, connection: FrontConnection) -> None:
        """A client connected."""
        self.connections.add(connection)
        if self._looker is None:
            self._looker = asyncio.get_running_loop().call_later(self.limits.keepalive_s / _LOOKS, self._look)

    def closed(self, connection: FrontConnection) -> None:
        """A client is gone."""
        self.connections.discard(connection)
        if not self.connections and self._all_closed is not None:
            self._all_closed.set()

    def pre_shutdown(self) -> None:
        """Close what is idle, and let the rest end with its answer."""
        for connection in list(self.connections):
            connection.leave()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Wait for requests in progress, at most `timeout` seconds, then end every connection."""
        if self._looker is not None:
            self._looker.cancel()
            self._looker = None
        self.pre_shutdown()
        if self.connections:
            self._all_closed = asyncio.Event()
            try:
                async with asyncio.timeout(timeout):
                    await self._all_closed.wait()
            except TimeoutError:
                pass
        await self.end_core()
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def end_core(self) -> None:
        """End what a core still does; called once all clients had their time."""

    def _look(self) -> None:
        self._looker = None
        for connection in list(self.connections):
            connection.quiet = connection.quiet + 1 if connection.idle else 0
            if connection.quiet > _LOOKS and connection.transport is not None:
                connection.transport.close()
        self.blocks.forget()
        if self.connections:
            self._looker = asyncio.get_running_loop().call_later(self.limits.keepalive_s / _LOOKS, self._look)


class WholeLane(Lane):
    """Takes every request, however unusual, and answers for every failure."""

    def __init__(
        self,
        engine: "Engine",
        judge: "Callable[[Asked], Passage | Own]",
        connect: "Callable[[Passage], Awaitable[Upstream]]",
        explain: "Callable[[UpstreamError], Own]",
    ) -> None:
        """`judge` answers a request by itself or lets it pass. `connect` may take its time, and raises UpstreamError.

        `explain` says what the client reads if nothing comes of a passage.
        """
        super().__init__(engine, _never)
        self._judge, self._connect, self._explain = judge, connect, explain

    def take(self, front: FrontConnection, asked: "Asked") -> bool:
        verdict = self._judge(asked)
        transport = front.transport
        if not isinstance(verdict, Passage):
            front.answer(verdict)
        elif transport is not None:
            self.begin(WholeRun(self, front, transport, asked, verdict), front, verdict)
        return True

    async def connect(self, passage: Passage) -> "Upstream":
        return await self._connect(passage)

    def give_up(self, front: FrontConnection, passage: Passage, error: "UpstreamError", body: list[bytes]) -> None:
        front.answer(self._explain(error))


class WholeRun(Run):
    """A Run whose client may wait for `100 Continue`."""

    __slots__ = ()

    def take(self, data: bytes) -> None:
        asked = self._asked
        if not asked.expects or self._front.body_complete:
            super().take(data)
            return
        # A final answer instead of the 100: whether the body will still come, nobody could tell.
        lives, asked.keep_alive = asked.keep_alive, False
        super().take(data)
        if not self.started:
            asked.keep_alive = lives


def _never(asked: "Asked", peer: str) -> NoReturn:
    raise LookupError("a lane without a core judges by itself")
