"""Flycast: private addresses of apps. Connections to one are carried to the app's Machine, as Fly Proxy would.

Networks are not kept apart here: everybody on this host reaches every address.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, cast

from localcloud.fly.addresses import GUARD_PORT, listen_on
from localcloud.fly.errors import Refused
from localcloud.fly.records import App, Json, Machine
from localcloud.fly.states import State
from localcloud.fly.verbs import Verbs
from localcloud.fly.world import World

log = logging.getLogger(__name__)

_ASLEEP: Final = (State.STOPPED, State.SUSPENDED)
_PATIENCE_S: Final = 10.0


class Flycast:
    """Listens on the addresses until the context is left. Only raw TCP: of a port's handlers none is built."""

    def __init__(self, world: World, verbs: Verbs) -> None:
        self._world, self._verbs = world, verbs
        self._servers: dict[str, asyncio.Server] = {}
        self._callers: set[_Caller] = set()

    async def __aenter__(self) -> Self:
        """Listen again on the addresses that were assigned in an earlier run."""
        for app in self._world.apps.values():
            for assigned in app.ips:
                if assigned.get("flycast"):
                    try:
                        await self.open(app, assigned["ip"])
                    except OSError as error:  # somebody else's by now; its app is not to be reached, all others are
                        log.warning("flycast address %s of %s is taken: %s", assigned["ip"], app.name, error)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for address in list(self._servers):
            self.close(address)
        connecting = [caller.connecting for caller in self._callers]
        for caller in list(self._callers):
            caller.end()
        await asyncio.gather(*connecting, return_exceptions=True)

    async def open(self, app: App, address: str) -> None:
        """Answer on `address`, which is the app's from now on. Raises OSError."""
        host, _, port = listen_on(address).rpartition(":")
        self._servers[address] = await asyncio.get_running_loop().create_server(
            lambda: _Caller(app.name, self._where, self._callers), host, int(port)
        )

    def close(self, address: str) -> None:
        """The address is released."""
        server = self._servers.pop(address, None)
        if server is not None:
            server.close()

    async def _where(self, app_name: str) -> tuple[str, int] | None:
        """Host and port at the Machine that answers for the app."""
        machine, service = await self._target(app_name)
        if machine is None or service is None:
            return None
        port = service.get("internal_port", GUARD_PORT)
        host, _, guard = listen_on(machine.private_ip).rpartition(":")
        return host, int(guard) if port == GUARD_PORT else port

    async def _target(self, app_name: str) -> tuple[Machine | None, Json | None]:
        """A Machine that is up and offers the port, woken first if its service says autostart."""
        offers = [(machine, service) for machine in self._world.machines_of(app_name) for service in _offers(machine)]
        for machine, service in offers:
            if machine.state is State.STARTED and not machine.cordoned:
                return machine, service
        for machine, service in offers:
            if machine.state in _ASLEEP and service.get("autostart", True):
                self._verbs.start(machine, boot_fails=False)
                if await self._is_up(machine):
                    return machine, service
        return None, None

    async def _is_up(self, machine: Machine) -> bool:
        try:
            await self._verbs.wait(machine, ["started", "failed"], version=None, from_event=None, timeout=_PATIENCE_S)
        except Refused:
            return False
        return machine.state is State.STARTED


def _offers(machine: Machine) -> list[Json]:
    """The services of a Machine on the one port that is listened on here."""
    services: list[Json] = machine.config.get("services", [])
    return [s for s in services if any(port.get("port") == GUARD_PORT for port in s.get("ports", []))]


class _End(asyncio.Protocol):
    """One end of a carried connection: what comes in here goes out at the other."""

    def __init__(self) -> None:
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one too, and does not say so

    def data_received(self, data: bytes) -> None:
        if (out := self._out()) is not None:
            out.write(data)

    def eof_received(self) -> bool:
        """The other end's reader hears of it too; what it still says is carried on."""
        with suppress(OSError, RuntimeError):
            if (out := self._out()) is not None:
                out.write_eof()
        return True

    def pause_writing(self) -> None:
        if (out := self._out()) is not None:
            out.pause_reading()

    def resume_writing(self) -> None:
        if (out := self._out()) is not None:
            out.resume_reading()

    def connection_lost(self, fault: Exception | None) -> None:
        if (out := self._out()) is not None:
            out.close()

    def _out(self) -> asyncio.Transport | None:
        return None if self.other is None else self.other.transport


class _Caller(_End):
    """A connection to an address of ours. What it says before there is somebody to carry it to is kept."""

    connecting: asyncio.Task[None]

    def __init__(
        self, app_name: str, where: Callable[[str], Awaitable[tuple[str, int] | None]], callers: "set[_Caller]"
    ) -> None:
        super().__init__()
        self._app_name, self._where, self._callers = app_name, where, callers
        self._early, self._ended_early = b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._callers.add(self)
        self.connecting = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self._out() is not None:
            super().data_received(data)
        elif self.transport is not None:
            self._early += data
            self.transport.pause_reading()  # enough: not in connection_made, where uvloop's cannot be paused yet

    def eof_received(self) -> bool:
        self._ended_early = self._out() is None
        return super().eof_received()

    def connection_lost(self, fault: Exception | None) -> None:
        self._callers.discard(self)
        self.connecting.cancel()
        super().connection_lost(fault)

    def end(self) -> None:
        """The stand-in closes."""
        self.connecting.cancel()
        if self.transport is not None:
            self.transport.abort()

    async def _connect(self) -> None:
        assert self.transport is not None  # noqa: S101
        far = _End()
        self.other, far.other = far, self
        try:
            where = await self._where(self._app_name)
            if where is not None:
                await asyncio.get_running_loop().create_connection(lambda: far, *where)
                if self._early:
                    super().data_received(self._early)
                    self.transport.resume_reading()
                if self._ended_early:
                    super().eof_received()
                return
        except OSError:
            pass
        self.transport.close()  # Fly Proxy takes the connection too before it finds that there is nobody
