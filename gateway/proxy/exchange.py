"""One request and its answer: takes what the Machine sends and writes what the client gets.

No tasks and no timers: it is driven by the two connections, by a tick, and awaited by the relay.
"""

import asyncio
import socket
import struct
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from gateway.proxy.errors import (
    BodyStalled,
    ExchangeCut,
    UpstreamBroke,
    UpstreamError,
    UpstreamGarbled,
    UpstreamSilent,
)
from gateway.proxy.framing import CHUNKED, Chunks, Malformed
from gateway.proxy.heads import Answer, parse_answer
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.splice import Splice
from gateway.proxy.upstream import Upstream

if TYPE_CHECKING:
    from gateway.proxy.front import FrontConnection
    from gateway.proxy.passage import Asking, Passage
    from provisioner.clock import Clock

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_MOST_INTERIM: Final = 32
_LARGE: Final = 32_768


class Exchange:
    """A Guest of the client's connection, a User of the Machine's, and Served for the registry."""

    __slots__ = (
        "_asking", "_chunks", "_clock", "_events", "_held", "_interim", "_left", "_limits", "_over", "_passage",
        "_reusable", "_seen", "_splice", "_to_end", "_waiter", "alive_at", "carried", "client", "error", "front",
        "moved_at", "received", "request_sent", "started", "status", "streaming", "upstream",
    )  # fmt: skip

    def __init__(
        self, front: "FrontConnection", client: asyncio.Transport, asking: "Asking", passage: "Passage",
        limits: ProxyLimits, clock: "Clock",
    ) -> None:  # fmt: skip
        self.front, self.client = front, client
        self._asking, self._passage, self._limits, self._clock = asking, passage, limits, clock
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.upstream: Upstream | None = None
        self.error: UpstreamError | None = None
        self.status = 0
        self.started = False
        """A final answer's first byte went to the client: no other answer may follow."""
        self.received = False
        """The Machine sent something: the request must not be repeated."""
        self.request_sent = False
        self.streaming = False
        self.carried = 0
        """Bytes of answer body, or of frames from the Machine."""
        self.moved_at = self.alive_at = clock.monotonic()
        self._seen = -1
        self._held = b""
        self._interim = 0
        self._left = 0
        self._to_end = False  # the body ends with the Machine's connection
        self._reusable = True
        self._chunks: Chunks | None = None
        self._events = False
        self._splice: Splice | None = None
        self._waiter: asyncio.Future[None] | None = None

    # -- as the registry sees it

    @property
    def key(self) -> Hashable:
        return self._passage.key

    @property
    def session(self) -> Hashable | None:
        return self._passage.session

    async def ended(self) -> None:
        await asyncio.wait([self._over])

    def stop(self, code: int) -> None:
        if self._splice is not None:
            self._splice.close(code)
        elif self._events and self._asking.http11 and (self._chunks is None or self._chunks.at_boundary):
            # An event stream has no end of its own: finish it in good order, the browser comes back.
            self.client.write(b"0\r\n\r\n")
            self._finish(reusable=False)
            self.client.close()
        else:
            self.cut()

    def cut(self) -> None:
        if self._over.done():
            self.client.abort()  # nothing left but a client who does not read
        else:
            self.fail(ExchangeCut())

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
        elif self._over.done():
            self._wake()

    # -- the Machine's side

    def attach(self, upstream: Upstream) -> None:
        """Use `upstream` from now on."""
        self.upstream = upstream
        upstream.lend(self, self._take_head)

    @property
    def went_unheard(self) -> bool:
        """The connection ended without a word from the Machine."""
        return isinstance(self.error, UpstreamBroke) and not self.received

    def again(self) -> None:
        """Forget a connection that turned out to be dead before anything came back."""
        self.error = None
        self._over = asyncio.get_running_loop().create_future()

    async def over(self) -> None:
        """Return when the exchange is over: answered, failed (`error`), or one side gone."""
        await self._over

    async def drained(self) -> None:
        """Return when the Machine takes more of the request, or the exchange is over."""
        if self.upstream is not None and self.upstream.full:
            await self._wait()

    async def read(self) -> None:
        """Return when the client has read nearly all of an answer that is over."""
        if self.front.connected and self.front.writing_paused:
            await self._wait()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def uploaded(self) -> None:
        """A piece of the request body went on."""
        self.alive_at = self._clock.monotonic()
        self._passage.touch()

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
        elif self._to_end and exc is None:
            if self._asking.http11:
                self.client.write(b"0\r\n\r\n")
            self._end()
        else:
            self.fail(UpstreamBroke("closed within an answer" if self.received else "closed before an answer"))

    def _take_head(self, data: bytes) -> None:
        self.received = True
        if self._held:
            data, self._held = self._held + data, b""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > self._limits.max_head_bytes:
            if len(data) > self._limits.max_head_bytes:
                self.fail(UpstreamGarbled("the head is too large"))
            else:
                self._held = data
            return
        try:
            answer = parse_answer(data[:end], self._passage.drop_cookies, self._passage.drop_cookie_prefixes)
        except Malformed as malformed:
            self.fail(UpstreamGarbled(malformed.why))
            return
        if answer.status < 200:
            self._take_interim(answer, data[end + 4 :])
        else:
            self._answer(answer, data, end + 4)

    def _take_interim(self, answer: Answer, rest: bytes) -> None:
        self._interim += 1
        if answer.length is not None or self._interim > _MOST_INTERIM:
            self.fail(UpstreamGarbled("no valid informational answer"))
        elif answer.status == 101:
            if self._asking.upgrade and answer.upgrade == b"websocket":
                self._open_splice(answer, rest)
            else:
                self.fail(UpstreamGarbled("an upgrade nobody asked for"))
        else:
            if answer.status == 100:
                if self._asking.expects:
                    self.encourage()
            elif self._asking.http11:
                self.client.write(b"\r\n".join([*answer.lines, b"", b""]))
            if rest:
                self._take_head(rest)

    def encourage(self) -> None:
        """Tell a client that waits for it to send its body; once."""
        if self._asking.expects and not self.started:
            self._asking.expects = False
            self.client.write(_CONTINUE)

    def _answer(self, answer: Answer, data: bytes, at: int) -> None:
        """Write the head, with as much of the body as came along, and get ready for the rest."""
        asking, lines, length = self._asking, answer.lines, answer.length
        self.started = True
        self.status = answer.status
        reusable = not answer.closes
        if asking.head_only or answer.status in (204, 304):
            length = 0
        elif length is None or length == CHUNKED:
            reusable = reusable and length is not None
            if asking.http11:
                lines.append(b"Transfer-Encoding: chunked")
            else:
                asking.keep_alive = False
        if not asking.keep_alive:
            lines.append(b"Connection: close")
        elif not asking.http11:
            lines.append(b"Connection: keep-alive")
        lines.append(b"")
        if length is not None and length >= 0 and length == len(data) - at and length < _LARGE:
            lines.append(data[at:])  # the whole of a small answer: one write
            self.client.write(b"\r\n".join(lines))
            self.carried = length
            self._finish(reusable=reusable)
            return
        lines.append(b"")
        self.client.write(b"\r\n".join(lines))
        self._events = answer.events
        self.streaming = True
        self._reusable = reusable
        if length == 0:
            self._finish(reusable=reusable and len(data) == at)
            return
        if length is None:
            self._to_end = True
            sink = self._take_to_end
        elif length == CHUNKED:
            self._chunks = Chunks([] if answer.events or not asking.http11 else None)
            sink = self._take_chunks
        else:
            self._left = length
            sink = self._take_length
        if self.upstream is not None:
            self.upstream.sink = sink
        if len(data) > at:
            sink(data[at:])

    def _take_length(self, data: bytes) -> None:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            self.client.write(data)
            self._moved(data)
        else:
            self.client.write(data[:left] if left else data)
            self._moved(data)
            self._finish(reusable=not left and self._reusable)

    def _take_chunks(self, data: bytes) -> None:
        chunks = self._chunks
        if chunks is None:
            return
        try:
            raw, surplus = chunks.feed(data)
        except Malformed as malformed:
            self.fail(UpstreamGarbled(malformed.why))
            return
        moved = data
        if chunks.payload is not None:
            moved = b"".join(chunks.payload)
            chunks.payload.clear()
        out = raw if self._asking.http11 else moved
        if out:
            self.client.write(out)
        self._moved(moved)
        if chunks.done:
            self._finish(reusable=not surplus and self._reusable)

    def _take_to_end(self, data: bytes) -> None:
        if self._asking.http11:
            self.client.writelines([b"%x\r\n" % len(data), data, b"\r\n"])
        else:
            self.client.write(data)
        self._moved(data)

    def _moved(self, data: bytes) -> None:
        self.carried += len(data)
        if self._events and _only_comments(data):
            return
        self.moved_at = self._clock.monotonic()
        self._passage.touch()

    # -- WebSocket

    def _open_splice(self, answer: Answer, rest: bytes) -> None:
        upstream = self.upstream
        if upstream is None:
            return
        self.started = self.streaming = self.request_sent = True
        self.status = 101
        self._asking.keep_alive = False
        self.client.write(b"\r\n".join([*answer.lines, b"Connection: Upgrade", b"Upgrade: websocket", b"", b""]))
        self._splice = splice = Splice(self.client, upstream.transport, self._framed)
        upstream.sink = splice.from_upstream
        if rest:
            splice.from_upstream(rest)
        self.front.splice(splice.from_client)

    def _framed(self) -> None:
        self.carried += 1
        self.moved_at = self._clock.monotonic()
        self._passage.touch()

    # -- ends

    def check(self, now: float) -> None:
        """A look at the deadlines, every now and then."""
        passed = self.carried + (self._splice.reads if self._splice is not None else 0)
        if passed != self._seen:
            self._seen = passed
            self.alive_at = now
        quiet, limits = now - self.alive_at, self._limits
        if self.upstream is None:
            if self.started and quiet > limits.stall_s:
                self.client.abort()  # all that is left is a client who does not read
        elif not self.started:
            if self.request_sent:
                if quiet > limits.first_byte_s:
                    self.fail(UpstreamSilent())
            elif quiet > limits.stall_s:
                self.fail(UpstreamSilent("takes no more of the request") if self.upstream.full else BodyStalled())
        elif quiet > (limits.stall_s if self.front.writing_paused or self.upstream.full else limits.idle_s):
            self.fail(UpstreamSilent("nothing moved any more"))

    def _finish(self, *, reusable: bool) -> None:
        self._let_go(reusable=reusable and self.request_sent)
        self._end()

    def fail(self, error: UpstreamError) -> None:
        if self._over.done():
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
        if upstream is not None:
            if self.front.writing_paused:
                upstream.transport.resume_reading()
            upstream.give_back(reusable=reusable)

    def _end(self) -> None:
        self._wake()
        if not self._over.done():
            self._over.set_result(None)


def _only_comments(events: bytes) -> bool:
    """Whether a piece of an event stream holds nothing but comments and blank lines: a keep-alive."""
    return all(not line or line[:1] == b":" for line in events.splitlines())


def _reset(client: asyncio.Transport) -> None:
    """End a truncated answer so that it cannot be taken for a whole one, however it was framed."""
    sock = client.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.abort()
