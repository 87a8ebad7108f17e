"""Flycast: private addresses of apps. Connections to one are carried to the app's Machine, as Fly Proxy would.

Networks are not kept apart here: everybody on this host reaches every address.
"""

import asyncio
import logging
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from localcloud.fly.addresses import GUARD_PORT, listen_on
from localcloud.fly.errors import Refused
from localcloud.fly.records import App, Json, Machine
from localcloud.fly.states import State
from localcloud.fly.verbs import Verbs
from localcloud.fly.world import World

log = logging.getLogger(__name__)

_SIZE: Final = 65536
_ASLEEP: Final = (State.STOPPED, State.SUSPENDED)
_PATIENCE_S: Final = 10.0


class Flycast:
    """Listens on the addresses until the context is left. Only raw TCP: of a port's handlers none is built."""

    def __init__(self, world: World, verbs: Verbs) -> None:
        self._world, self._verbs = world, verbs
        self._servers: dict[str, asyncio.Server] = {}
        self._carried: set[asyncio.Task[None]] = set()

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
        for task in list(self._carried):
            task.cancel()
        await asyncio.gather(*self._carried, return_exceptions=True)

    async def open(self, app: App, address: str) -> None:
        """Answer on `address`, which is the app's from now on. Raises OSError."""
        host, _, port = listen_on(address).rpartition(":")

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None:
                return
            self._carried.add(task)
            try:
                await self._carry(app.name, reader, writer)
            finally:
                self._carried.discard(task)
                writer.close()

        self._servers[address] = await asyncio.start_server(carry, host, int(port))

    def close(self, address: str) -> None:
        """The address is released."""
        server = self._servers.pop(address, None)
        if server is not None:
            server.close()

    async def _carry(self, app_name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        machine, service = await self._target(app_name)
        if machine is None or service is None:
            return  # Fly Proxy takes the connection too before it finds that there is nobody
        port = service.get("internal_port", GUARD_PORT)
        host, _, guard = listen_on(machine.private_ip).rpartition(":")
        with suppress(OSError):
            upstream, sink = await asyncio.open_connection(host, int(guard) if port == GUARD_PORT else port)
            try:
                await asyncio.gather(_pump(reader, sink), _pump(upstream, writer))
            finally:
                sink.close()

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


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry bytes one way until it ends, then end the other side's reading too."""
    with suppress(ConnectionError):
        while data := await source.read(_SIZE):
            sink.write(data)
            await sink.drain()
    with suppress(OSError, RuntimeError):
        sink.write_eof()
