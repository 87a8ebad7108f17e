"""One TCP connection to a Machine, and the pool of those that wait for work."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from gateway.proxy.errors import UpstreamBusy, UpstreamRefused, UpstreamUnreachable
from gateway.proxy.limits import ProxyLimits
from provisioner.instance import Endpoint

if TYPE_CHECKING:
    from gateway.proxy.passage import Passage
    from provisioner.clock import Clock


class User(Protocol):
    """Who uses a connection at the moment."""

    def upstream_lost(self, exc: Exception | None) -> None: ...
    def upstream_full(self) -> None: ...
    def upstream_drained(self) -> None: ...


class Upstream(asyncio.Protocol):
    """A connection, idle or lent to one User, who takes what arrives through `sink`.

    Bytes that arrive while nobody has asked for any end it: they are the answer to no request of ours.
    """

    __slots__ = ("connected", "full", "idle_since", "sink", "slot", "transport", "used", "user")

    transport: asyncio.Transport

    def __init__(self, slot: "Slot") -> None:
        self.slot = slot
        self.connected = False
        self.user: User | None = None
        self.sink: Callable[[bytes], None] | None = None
        self.full = False
        self.used = False
        """It has answered before, so the Machine may close it at any moment."""
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        limits = self.slot.limits
        self.connected = True
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(limits.high_water, limits.low_water)

    def data_received(self, data: bytes) -> None:
        if self.sink is None:
            self.transport.abort()
        else:
            self.sink(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.slot.forget(self)
        user, self.user, self.sink = self.user, None, None
        if user is not None:
            user.upstream_lost(exc)

    def pause_writing(self) -> None:
        self.full = True
        if self.user is not None:
            self.user.upstream_full()

    def resume_writing(self) -> None:
        self.full = False
        if self.user is not None:
            self.user.upstream_drained()

    def lend(self, user: User, sink: Callable[[bytes], None]) -> None:
        self.user, self.sink = user, sink

    def give_back(self, *, reusable: bool) -> None:
        """The User is done. Without `reusable` the connection ends here."""
        self.user = self.sink = None
        if self.transport.is_closing():
            return
        if reusable:
            self.used = True
            self.slot.put(self)
        else:
            self.transport.abort()


class Slot:
    """All connections to one Endpoint. The one used last is reused first, so that the others may expire."""

    __slots__ = ("_clock", "_idle", "_waiters", "dropped", "endpoint", "limits", "total")

    def __init__(self, endpoint: Endpoint, limits: ProxyLimits, clock: "Clock") -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.total = 0
        self._clock = clock
        self._idle: list[Upstream] = []
        self._waiters: deque[asyncio.Future[Upstream | None]] = deque()
        self.dropped = False
        """No longer the pool's: nothing of it may be taken."""

    @property
    def vacant(self) -> bool:
        return not (self.total or self._waiters)

    def take(self) -> Upstream | None:
        """An idle connection that was still good when last heard of."""
        while self._idle:
            upstream = self._idle.pop()
            if not upstream.transport.is_closing():
                return upstream
        return None

    def put(self, upstream: Upstream) -> None:
        if self.dropped:
            upstream.transport.abort()
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(upstream)
                return
        upstream.idle_since = self._clock.monotonic()
        self._idle.append(upstream)

    def forget(self, upstream: Upstream) -> None:
        if upstream in self._idle:
            self._idle.remove(upstream)
        self.leave()

    async def enter(self) -> Upstream | None:
        """Count one more connection, once there is room; or the one that somebody gave back meanwhile."""
        if self.total < self.limits.per_endpoint:
            self.total += 1
            return None
        waiter: asyncio.Future[Upstream | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # served and cancelled in the same turn
                upstream = waiter.result()
                self.leave() if upstream is None else self.put(upstream)
            raise

    def leave(self) -> None:
        """One connection less; whoever waits takes its place."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.total -= 1

    def drop(self) -> None:
        """Close what is idle, now, and what is in use as soon as it is given back."""
        self.dropped = True
        self.expire(before=float("inf"))

    def expire(self, *, before: float) -> None:
        """Close what has been idle since `before`."""
        for upstream in [u for u in self._idle if u.idle_since < before]:
            self._idle.remove(upstream)
            upstream.transport.abort()


class Pool:
    """Connections by Endpoint."""

    def __init__(self, limits: ProxyLimits, clock: "Clock") -> None:
        self._limits, self._clock = limits, clock
        self._slots: dict[Endpoint, Slot] = {}

    @property
    def empty(self) -> bool:
        return not self._slots

    def take(self, passage: "Passage") -> Upstream | None:
        """An idle connection to where `passage` leads, if there is one."""
        slot = passage.slot
        if slot is None or slot.dropped:
            slot = passage.slot = self._slots.get(passage.endpoint)
        return None if slot is None else slot.take()

    async def connect(self, endpoint: Endpoint) -> Upstream:
        """A new connection, or at the limit one that was given back.

        Raises UpstreamRefused, UpstreamUnreachable, UpstreamBusy; nothing was sent in any case.
        """
        slot = self._slots.get(endpoint)
        if slot is None:
            slot = self._slots[endpoint] = Slot(endpoint, self._limits, self._clock)
        try:
            async with asyncio.timeout(self._limits.connect_s):
                upstream = await slot.enter()
        except TimeoutError:
            raise UpstreamBusy from None
        return upstream or await self._open(slot, endpoint)

    async def _open(self, slot: Slot, endpoint: Endpoint) -> Upstream:
        upstream = Upstream(slot)
        connect = asyncio.get_running_loop().create_connection
        try:
            async with asyncio.timeout(self._limits.connect_s):
                await connect(lambda: upstream, endpoint.host, endpoint.port)
                return upstream
        except (ConnectionRefusedError, ConnectionResetError) as exc:
            raise UpstreamRefused(str(exc)) from exc
        except OSError as exc:  # TimeoutError among them
            raise UpstreamUnreachable(str(exc) or "no connection in time") from exc
        finally:
            if not upstream.connected:  # else its own end counts it out
                slot.leave()

    def drop(self, endpoint: Endpoint) -> None:
        """Reuse no connection to `endpoint` that exists now."""
        slot = self._slots.pop(endpoint, None)
        if slot is not None:
            slot.drop()

    def expire(self) -> None:
        """Close what was idle for too long."""
        before = self._clock.monotonic() - self._limits.idle_pool_s
        for endpoint, slot in list(self._slots.items()):
            slot.expire(before=before)
            if slot.vacant:
                slot.dropped = True
                del self._slots[endpoint]

    def close(self) -> None:
        for endpoint in list(self._slots):
            self.drop(endpoint)
