"""A Machine without a process: this stand-in itself listens at its address and answers as a Guard with an App would.

For measuring how many Machines a gateway can bring up, where hundreds of real processes would be what is measured. It
lets everybody in and keeps no data.
"""

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Final, cast

from localcloud.fly.addresses import listen_on

_END: Final = b"\r\n\r\n"
_BACKLOG: Final = 64


class Thin:
    """`localcloud.fly.process.Running` without a process. Standing still, it lets connections wait, as a frozen one."""

    def __init__(self, private_ip: str, environment: Mapping[str, str]) -> None:
        """Listen from now on. Raises OSError if the address is taken."""
        host, _, port = listen_on(private_ip).rpartition(":")
        self._socket = socket.create_server((host, int(port)), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self._environment = environment
        self._loop = asyncio.get_running_loop()
        self._talks: set[_Talk] = set()
        self._owned = "USER_ID" in environment  # what has no user yet is a spare, until it is claimed
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self.expected = False
        self._loop.add_reader(self._socket, self._accept)

    @property
    def pid(self) -> None:
        return None

    async def ended(self) -> int:
        return await asyncio.shield(self.exited)

    def members(self) -> list[int]:
        return []

    def signal(self, number: signal.Signals) -> None:
        self._end(0)

    def freeze(self) -> None:
        if not self.exited.done():
            self._loop.remove_reader(self._socket)
        for talk in self._talks:
            talk.transport.pause_reading()

    def thaw(self) -> None:
        if not self.exited.done():
            self._loop.add_reader(self._socket, self._accept)
        for talk in self._talks:
            talk.transport.resume_reading()

    def kill(self) -> None:
        self._end(-signal.SIGKILL)

    def answer(self, target: bytes) -> object:
        """What a request for `target` is told."""
        machine_id = self._environment["FLY_MACHINE_ID"]
        if target == b"/_guard/claim":
            self._owned = True
        if target == b"/_guard/health":
            status = "ready" if self._owned else "unclaimed"
            return {"status": status, "app": status, "boot_id": machine_id, "machine_id": machine_id}
        if target == b"/_guard/busy":
            return {"busy": False}
        return {"email": self._environment.get("USER_EMAIL"), "machine": machine_id}

    def _end(self, code: int) -> None:
        if self.exited.done():
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for talk in list(self._talks):
            talk.transport.abort()
        self.exited.set_result(code)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        talking = self._loop.connect_accepted_socket(lambda: _Talk(self.answer, self._talks), connection)
        task = self._loop.create_task(talking)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # the peer may have left


class _Talk(asyncio.Protocol):
    """One connection, answered in order."""

    transport: asyncio.Transport

    def __init__(self, answer: Callable[[bytes], object], talks: "set[_Talk]") -> None:
        self._answer, self._talks, self._heard = answer, talks, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one too, and does not say so
        self._talks.add(self)

    def connection_lost(self, fault: Exception | None) -> None:
        self._talks.discard(self)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while _END in self._heard:
            head, _, rest = self._heard.partition(_END)
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            if len(rest) < length:
                return
            self._heard = rest[length:]
            body = json.dumps(self._answer(head.split(b" ", 2)[1])).encode()
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
