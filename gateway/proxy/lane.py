"""The fast lane: a plain request answered on its client's connection without any object or task of aiohttp's.

It shares the reading of heads, the exchange, the connections to Machines, the registry and all limits with the core. It
takes only what is usual; whatever goes wrong before the client got a byte is handed over to the core, which
knows how to wake, to try again, and to answer.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from gateway.proxy.asked import Asked
from gateway.proxy.engine import Engine
from gateway.proxy.errors import BodyTooLarge, UpstreamBroke, UpstreamError
from gateway.proxy.exchange import Exchange
from gateway.proxy.framing import CHUNKED
from gateway.proxy.passage import Passage
from gateway.proxy.upstream import Upstream

if TYPE_CHECKING:
    from gateway.proxy.front import FrontConnection

_HELD_MOST: Final = 65_536

Decide = Callable[[Asked, str], Passage | None]
"""For a plain request and its peer's address: the way through, or None: the core's."""
Failed = Callable[[Passage, UpstreamError], None]
"""Told of an exchange that failed before the client got anything."""


class Lane:
    """Takes plain requests. One for a process, beside its Relay."""

    def __init__(self, relay: Engine, decide: Decide, failed: Failed = lambda passage, error: None) -> None:
        self.relay = relay
        self.failed = failed
        self._decide = decide
        self.taken = 0
        """Requests."""

    def take(self, front: "FrontConnection", asked: Asked) -> bool:
        """Begin to have a plain request answered. False: the core should."""
        most = self.relay.limits.max_body_bytes
        if not asked.plain or (most is not None and asked.length > most):
            return False
        transport = front.transport
        passage = self._decide(asked, front.peer)
        if passage is None or transport is None:
            return False
        self.begin(Run(self, front, transport, asked, passage), front, passage)
        return True

    def begin(self, exchange: "Run", front: "FrontConnection", passage: Passage) -> None:
        """Have a request answered by where `passage` leads."""
        relay = self.relay
        self.taken += 1
        front.guest = exchange
        front.take_body(exchange)
        relay.enter(exchange, passage)
        upstream = relay.pool.take(passage)
        if upstream is None:
            exchange.connect()
        else:
            exchange.begin(upstream)

    async def connect(self, passage: Passage) -> Upstream:
        """A new connection to where `passage` leads. Raises UpstreamError; nothing was sent."""
        return await self.relay.pool.connect(passage.endpoint)

    def give_up(self, front: "FrontConnection", passage: Passage, error: UpstreamError, body: list[bytes]) -> None:
        """The client got nothing, and will not from this exchange. `body`: what came of it and was not sent."""
        self.failed(passage, error)
        front.hand_over(error, body)


class Run(Exchange):
    """An exchange that looks after itself: connects, carries the request's body, and tells the gate when it is over."""

    __slots__ = ("_connecting", "_gone", "_lane", "_reused", "_waiting", "_waiting_size")

    _front: "FrontConnection"

    def __init__(
        self, lane: Lane, front: "FrontConnection", client: asyncio.Transport, asked: Asked, passage: Passage
    ) -> None:
        super().__init__(front, client, asked, passage, lane.relay.limits, lane.relay.clock)
        self._lane = lane
        self._connecting: asyncio.Task[Any] | None = None
        self._reused = False
        self._gone = False  # the client is
        self._waiting: list[bytes] | None = None  # body that came before there was a connection
        self._waiting_size = 0

    def connect(self) -> None:
        """Get a connection, then begin. The task ends with the exchange."""
        self._connecting = self._lane.relay.tasks.begin(self._connect(), name="connect")

    async def _connect(self) -> None:
        try:
            upstream = await self._lane.connect(self._passage)
        except UpstreamError as error:
            self._connecting = None
            self.fail(error)
        else:
            self._connecting = None
            self.begin(upstream)

    def begin(self, upstream: Upstream) -> None:
        """Send what there is of the request."""
        self._reused = upstream.used
        self.attach(upstream)
        transport = upstream.transport
        transport.write(self.head)
        if self._asked.length:
            if self._waiting is not None:
                transport.writelines(self._waiting)
                self._waiting = None
                if not upstream.full:
                    self.client.resume_reading()
            self.request_sent = self._front.body_complete
        else:
            self.request_sent = True

    def data_received(self, data: bytes) -> None:
        """A piece of the request's body, framing included."""
        if self.done:
            return
        most = self._limits.max_body_bytes
        if most is not None and self._asked.length == CHUNKED and self._front.body_size > most:
            self.fail(BodyTooLarge(f"the body has more than {most} bytes"))
            return
        upstream = self.upstream
        if upstream is None:
            if self._waiting is None:
                self._waiting, self._waiting_size = [], 0
            self._waiting.append(data)
            self._waiting_size += len(data)
            if self._waiting_size > _HELD_MOST:
                self.client.pause_reading()
            return
        upstream.transport.write(data)
        self.uploaded()
        if self._front.body_complete:
            self.request_sent = True

    # -- flow: there is no task between the two connections that could wait

    def upstream_full(self) -> None:
        self.client.pause_reading()

    def upstream_drained(self) -> None:
        self.client.resume_reading()

    def client_drained(self) -> None:
        if self.done:
            self._leave()
        else:
            super().client_drained()

    # -- ends

    def client_lost(self) -> None:
        self._gone = True
        if self.done:
            self._leave()
        else:
            super().client_lost()

    def fail(self, error: UpstreamError) -> None:
        if (
            isinstance(error, UpstreamBroke)
            and self._reused
            and self._asked.replayable
            and not (self.done or self.received or self.started)
        ):
            # The Machine closed an idle connection while our request was on its way. Once, on a new one.
            self._reused = self.request_sent = False
            self._let_go(reusable=False)
            self.connect()
        else:
            super().fail(error)

    def _end(self) -> None:
        if self.done:
            return
        super()._end()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._gone or not self.started or not self._front.writing_paused:
            self._leave()  # else when the client has read nearly all of it

    def _leave(self) -> None:
        lane, front, error = self._lane, self._front, self.error
        lane.relay.live.remove(self)
        if self._gone or front.guest is not self:
            return
        if self._asked.length and not self.client.is_closing():
            self.client.resume_reading()  # paused, perhaps, for a Machine that was slow to take it
        if error is not None and not self.started:
            lane.give_up(front, self._passage, error, self._waiting or [])
        else:
            front.answered(keep_alive=self._asked.keep_alive and error is None)
