"""The client's side: who answers the request that was let in, the fast lane or the core, and how a connection ends."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from gateway.proxy.asked import Asked
from gateway.proxy.errors import UpstreamError
from gateway.proxy.inlet import Inlet, Taker

if TYPE_CHECKING:
    from gateway.proxy.plain import Own, Plain

_LINGER_S: Final = 2.0
_BODY_LINGER_S: Final = 10.0


class Guest(Protocol):
    """What a connection does for the exchange that uses it."""

    @property
    def started(self) -> bool: ...
    def client_lost(self) -> None: ...
    def client_full(self) -> None: ...
    def client_drained(self) -> None: ...


class Core(Taker, Protocol):
    """A server's protocol for what the lane does not take: on the gate's transport, one framed request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def close(self) -> None: ...


class FrontConnection(Inlet):
    """One client connection: the gate, the lanes behind it, and a raw mode after an upgrade."""

    __slots__ = ("_core", "_peer", "guest", "writing_paused")

    def __init__(self, front: "Plain") -> None:
        super().__init__(front)
        self._core: Core | None = None
        self._peer: str | None = None
        self.guest: Guest | None = None
        """The exchange in progress, told when the client goes or cannot keep up."""
        self.writing_paused = False

    @property
    def connected(self) -> bool:
        return self.transport is not None

    @property
    def peer(self) -> str:
        """The client's address, as text; "" if it has none."""
        if self._peer is None:
            name = self.transport.get_extra_info("peername") if self.transport is not None else None
            self._peer = str(name[0]) if isinstance(name, tuple) else ""
        return self._peer

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(self._front.limits.high_water, self._front.limits.low_water)
        self._front.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        self._front.closed(self)
        self._stop_waiting()
        self._held = b""
        self._sink = self._taker = None
        guest, self.guest = self.guest, None
        if guest is not None:
            guest.client_lost()
        if self._core is not None:
            self._core.connection_lost(exc)
            self._core = None

    def pause_writing(self) -> None:
        self.writing_paused = True
        if self._core is not None:
            self._core.pause_writing()
        if self.guest is not None:
            self.guest.client_full()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self._core is not None:
            self._core.resume_writing()
        if self.guest is not None:
            self.guest.client_drained()

    def splice(self, sink: Callable[[bytes], None]) -> None:
        """From now on every byte of the client goes to `sink`, beginning with those that came early."""
        self._sink = sink
        self.asked = self._taker = None
        early, self._held = self._held, b""
        if early:
            sink(early)
        if self.transport is not None:
            self.transport.resume_reading()

    # -- the lanes' side

    def _begin(self, asked: Asked) -> None:
        lane = self._front.lane
        if lane is None or not lane.take(self, asked):
            self._give_to_core(asked.shown)

    def take_body(self, taker: Taker) -> None:
        """The current request's body goes to `taker`."""
        self._taker = taker

    def hand_over(self, fault: UpstreamError, body: list[bytes]) -> None:
        """The fast lane could not have the current request answered, and the client got nothing: the core's turn.

        `body`: what came of it, if `fault` says that nothing was sent. Otherwise there is nothing to be sent again.
        """
        asked = self.asked
        if asked is None:
            return
        self.guest = None
        asked.fault = fault
        if not fault.sent:
            core = self._give_to_core(asked.shown)
            for piece in body:
                core.data_received(piece)
        elif not asked.body:
            self._give_to_core(asked.shown)
        else:
            core = self._give_to_core(asked.stub)
            self._taker = rest = Remainder(self, core)
            rest.data_received(b"")

    def answer(self, own: "Own") -> None:
        """Answer the current request, of which the client got nothing yet, by ourselves."""
        asked, transport, self.guest = self.asked, self.transport, None
        if asked is None or transport is None or transport.is_closing():
            return
        keep_alive = asked.keep_alive and asked.http11 and self.body_complete and not self.leaving
        words = own.encode(head_only=asked.head_only, keep_alive=keep_alive)
        if not self.body_complete:
            self._last_words(transport, words)
        else:
            transport.write(words)
            self.leaving = not keep_alive
            self.answered(keep_alive=keep_alive)

    def answered(self, *, keep_alive: bool) -> None:
        """The fast lane's exchange is over."""
        self.asked = self.guest = self._taker = None
        self._answering = False
        transport = self.transport
        if transport is None:
            return
        if self.leaving or not keep_alive:
            transport.close()
        elif not self.body_complete:  # answered early: the rest is swallowed, for a while
            self._alarm = asyncio.get_running_loop().call_later(_BODY_LINGER_S, transport.close)
        elif self._held:
            self._next()

    def answered_by_core(self, *, keep_alive: bool) -> None:
        """aiohttp has written its answer; if the connection is to end, it sees to that."""
        self.asked = None
        self._answering = False
        if self.leaving and self._core is not None:
            self._core.close()
        elif self._held and keep_alive and self._sink is None and not self._refused:
            self._next()

    def _give_to_core(self, head: bytes) -> Core:
        core = self._core
        if core is None:
            core = self._core = self._front.core_for(self)
            if self.transport is not None:
                core.connection_made(self.transport)
            if self.writing_paused:
                core.pause_writing()
        self._taker = core
        core.data_received(head)
        return core

    # -- ends

    def refuse(self, status: int, why: str) -> None:
        """Answer what no lane sees, then end the connection."""
        guest, self.guest = self.guest, None
        transport = self.transport
        if guest is not None and transport is not None and not transport.is_closing():
            guest.client_lost()
        if transport is None or transport.is_closing():
            self._refused = True
        elif guest is not None and guest.started:
            self._refused = True
            transport.abort()
        else:
            self._last_words(transport, self._front.refusal(status, why).encode(head_only=False, keep_alive=False))

    def _last_words(self, transport: asyncio.Transport, words: bytes) -> None:
        """End the connection with `words`, which are not lost to a reset: what still comes is swallowed for a while."""
        self._stop_waiting()
        self._refused = True
        self._held = b""
        self._taker = self.guest = None
        transport.write(words)
        if transport.can_write_eof():
            transport.write_eof()
        self._alarm = asyncio.get_running_loop().call_later(_LINGER_S, transport.close)

    def leave(self) -> None:
        """End the connection: now if it is idle, else with the current answer."""
        self.leaving = True
        if self.asked is not None and self._answering:
            self.asked.keep_alive = False  # so the answer says so, unless it has begun
        if self._core is not None and self._taker is self._core:
            self._core.close()
        if self.idle and self.transport is not None:
            self.transport.close()


class Remainder:
    """What is left of a body whose beginning went elsewhere: one byte for the core, once all of it has come.

    So a core which answers such a request with an error keeps the connection open for as long as the client
    still sends, and nothing of the body is taken for another request.
    """

    __slots__ = ("_core", "_front")

    def __init__(self, front: FrontConnection, core: Core) -> None:
        self._front, self._core = front, core

    def data_received(self, data: bytes) -> None:
        if self._front.body_complete:
            self._core.data_received(b"x")
