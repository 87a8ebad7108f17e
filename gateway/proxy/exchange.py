"""One request and its answer, between the two connections that carry them.

No tasks and no timers: it is driven by the two connections and by a tick. Its lane awaits its end or is told of it.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final, Protocol

from gateway.proxy.answering import Answering
from gateway.proxy.errors import (
    BodyStalled,
    ExchangeCut,
    UpstreamBroke,
    UpstreamError,
    UpstreamGarbled,
    UpstreamSilent,
)
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.splice import Splice
from gateway.proxy.upstream import Upstream

if TYPE_CHECKING:
    from gateway.proxy.asked import Asked
    from gateway.proxy.passage import Passage
    from provisioner.clock import Clock

_LISTENER_S: Final = 30.0
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Downstream(Protocol):
    """The client's connection, as far as an exchange needs it."""

    @property
    def writing_paused(self) -> bool: ...
    @property
    def connected(self) -> bool: ...
    def splice(self, sink: Callable[[bytes], None]) -> None: ...


class Exchange(Answering):
    """A Guest of the client's connection, a User of the Machine's, Served for the registry; and the answer itself."""

    __slots__ = (
        "_asked", "_clock", "_front", "_limits", "_moving", "_over", "_passage", "_seen", "_splice", "_waiter",
        "alive_at", "done", "error", "head", "moved_at", "request_sent", "streaming", "unheard_since", "upstream",
    )  # fmt: skip

    def __init__(
        self,
        front: "Downstream",
        client: asyncio.Transport,
        asked: "Asked",
        passage: "Passage",
        limits: ProxyLimits,
        clock: "Clock",
    ) -> None:
        super().__init__(client, asked, passage.ours, limits.max_head_bytes)
        self._front = front
        self._asked, self._passage, self._limits, self._clock = asked, passage, limits, clock
        self.head = asked.for_machine(passage)
        """Of the request, as the Machine gets it."""
        self.done = False
        """The exchange is over: answered, failed (`error`), or one side gone."""
        self._over: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._splice: Splice | None = None
        self.unheard_since = 0.0
        self._seen = 0
        self._moving = False
        self.upstream: Upstream | None = None
        self.error: UpstreamError | None = None
        self.request_sent = False
        self.streaming = False
        self.moved_at = self.alive_at = clock.monotonic()

    # -- as the relay drives it

    def attach(self, upstream: Upstream) -> None:
        """Use `upstream` from now on."""
        self.upstream = upstream
        upstream.lend(self, self.take)
        if self._front.writing_paused:  # an earlier answer on this connection still waits to be read
            upstream.transport.pause_reading()

    @property
    def went_unheard(self) -> bool:
        """The connection ended without a word from the Machine."""
        return isinstance(self.error, UpstreamBroke) and not self.received

    async def over(self) -> None:
        """Return when it is over. For its lane alone: a cancelled wait counts as the end."""
        if not self.done:
            await self._end_awaited()

    def _end_awaited(self) -> "asyncio.Future[None]":
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
        return self._over

    def again(self) -> None:
        """Forget a connection that turned out to be dead before anything came back."""
        self.error = self._over = None
        self.done = False

    def uploaded(self) -> None:
        """A piece of the request body went on."""
        self.alive_at = self._clock.monotonic()
        self._passage.touch()

    async def drained(self) -> None:
        """Return when the Machine takes more of the request, or the exchange is over."""
        if self.upstream is not None and self.upstream.full:
            await self._wait()

    async def read(self) -> None:
        """Return when the client has read nearly all of an answer that is over."""
        if self._front.connected and self._front.writing_paused:
            await self._wait()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the client's side

    def client_lost(self) -> None:
        self._let_go(reusable=False)
        self._end()

    def client_full(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.pause_reading()

    def client_drained(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.resume_reading()
        elif self.done:
            self._wake()

    # -- the Machine's side

    def upstream_full(self) -> None:
        if self._splice is not None:
            self.client.pause_reading()

    def upstream_drained(self) -> None:
        if self._splice is not None:
            self.client.resume_reading()
        else:
            self._wake()

    def upstream_lost(self, exc: Exception | None) -> None:
        self.upstream = None
        if self._splice is not None:
            if not self._splice.leaving:
                self.client.close()  # after what is already written
        elif exc is None and self.end_of_input():
            self._end()
        else:
            self.fail(UpstreamBroke("closed within an answer" if self.started else "closed before an answer"))

    # -- the answer

    def finished(self, *, reusable: bool) -> None:
        self._let_go(reusable=reusable and self.request_sent)
        self._end()

    def garbled(self, why: str) -> None:
        self.fail(UpstreamGarbled(why))

    def streams(self, sink: Callable[[bytes], None]) -> None:
        self.streaming = True
        if self.upstream is not None:
            self.upstream.sink = sink

    def moved(self) -> None:
        self._touch(self._clock.monotonic())

    def framed(self) -> None:
        """A data frame passed. Noted here and told at the next tick: there may be very many."""
        self._moving = True

    def switched(self, rest: bytes) -> None:
        upstream = self.upstream
        if upstream is None:
            return
        self.streaming = self.request_sent = True
        self._asked.keep_alive = False
        self._asked.forget()
        self.head = b""
        self._splice = splice = Splice(self.client, upstream.transport, self.framed)
        upstream.sink = splice.from_upstream
        if rest:
            splice.from_upstream(rest)
        self._front.splice(splice.from_client)

    def _touch(self, now: float) -> None:
        self._moving = False
        self.moved_at = now
        self._passage.touch()

    # -- as the registry sees it

    @property
    def key(self) -> Hashable:
        return self._passage.key

    @property
    def session(self) -> Hashable | None:
        return self._passage.session

    @property
    def upgraded(self) -> bool:
        return self._splice is not None

    async def ended(self) -> None:
        if not self.done:
            await asyncio.wait([self._end_awaited()])

    def stop(self, code: int) -> None:
        if self._splice is not None:
            self._splice.close(code)
        elif self.end_early():  # an event stream: the browser comes back
            self.finished(reusable=False)
            self.client.close()
        else:
            self.cut()

    def cut(self) -> None:
        if self.done:
            self.client.abort()  # nothing left but a client who does not read
        else:
            self.fail(ExchangeCut())

    def check(self, now: float) -> None:
        """A look at the deadlines, every now and then."""
        if self._moving:
            self._touch(now)
        passed = self.carried + (self._splice.reads if self._splice is not None else 0)
        if passed != self._seen:
            self._seen = passed
            self.alive_at = now
        quiet, limits = now - self.alive_at, self._limits
        if not self.started and quiet > limits.silent_s:
            self._passage.silent()
        if self._splice is not None:
            self._listen(self._splice, now)
        if self.upstream is None:
            if self.started and quiet > limits.stall_s:
                self.client.abort()  # all that is left is a client who does not read
        elif not self.started:
            if self.request_sent:
                if quiet > limits.first_byte_s:
                    self.fail(UpstreamSilent())
            elif quiet > limits.stall_s:
                self.fail(UpstreamSilent("takes no more of the request") if self.upstream.full else BodyStalled())
        elif quiet > (limits.stall_s if self._front.writing_paused or self.upstream.full else limits.idle_s):
            self.fail(UpstreamSilent("nothing moved any more"))

    def _listen(self, splice: Splice, now: float) -> None:
        """A client's frame that a Machine asleep never read wakes it, as a request would; one that only listens is
        asked after again and again, but seldom."""
        if not splice.unanswered:
            self.unheard_since = 0.0
        elif not self.unheard_since:
            self.unheard_since = now
        elif now - self.unheard_since > self._limits.silent_s:
            self._passage.silent()
            self.unheard_since = now + _LISTENER_S

    # -- ends

    def fail(self, error: UpstreamError) -> None:
        """End both sides; if nothing of an answer went out, the relay raises `error`."""
        if self.done:
            return
        self.error = error
        self._let_go(reusable=False)
        if self._splice is not None:
            self.client.abort()
        elif self.started:
            _reset(self.client)
        self._end()

    def _let_go(self, *, reusable: bool) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is None:
            return
        if self._front.writing_paused:
            upstream.transport.resume_reading()
        if self._splice is not None and upstream.transport.get_write_buffer_size():
            # The client's last frames, its close among them, may still be on their way.
            upstream.transport.close()
            asyncio.get_running_loop().call_later(self._limits.drain_s, upstream.transport.abort)
        upstream.give_back(reusable=reusable)

    def _end(self) -> None:
        self._wake()
        if self._moving:
            self._touch(self._clock.monotonic())
        if not self.done:
            self.done = True
            if self._over is not None and not self._over.done():
                self._over.set_result(None)


def _reset(client: asyncio.Transport) -> None:
    """End a truncated answer so that it cannot be taken for a whole one, however it was framed."""
    sock = client.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    client.abort()
