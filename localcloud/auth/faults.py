"""Trouble on demand: answers that fail, hang, break off, or get lost after the work was done."""

import asyncio
import socket
import struct
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from aiohttp import web
from aiohttp.typedefs import Handler

Kind = Literal["status", "hang", "reset", "lost"]
KINDS: Final = ("status", "hang", "reset", "lost")


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next `times` requests whose method and path (with query) match.

    `status` answers so without doing anything; `hang` never answers; `reset` breaks the connection before the work,
    `lost` after it: the caller cannot know that it was done.
    """

    path: str
    """A glob over path and query, such as `/auth/v1/token*`."""
    kind: Kind
    method: str = "*"
    times: int | None = 1
    """None: until removed."""
    status: int = 503
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def matches(self, method: str, path: str) -> bool:
        return self.times != 0 and fnmatchcase(method, self.method) and fnmatchcase(path, self.path)


class Faults:
    """The faults still to come, in order; the first that matches is spent."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []
        self._cleared = asyncio.Event()

    def add(self, fault: Fault) -> None:
        self._pending.append(fault)

    def clear(self) -> None:
        """No more trouble; requests that hang are let go (and broken off)."""
        self._pending.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    def describe(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._pending]

    def spend(self, method: str, path: str) -> Fault | None:
        found = next((fault for fault in self._pending if fault.matches(method, path)), None)
        if found and found.times is not None:
            found.times -= 1
            self._pending = [fault for fault in self._pending if fault.times != 0]
        return found

    async def hang(self) -> None:
        await self._cleared.wait()


FAULTS: Final = web.AppKey("faults", Faults)


def break_off(request: web.Request) -> web.Response:
    """Reset the connection: no FIN, no answer. The response returned goes nowhere."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(status=499)


@web.middleware
async def inject_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    faults = request.app[FAULTS]
    if request.path.startswith("/_local/"):
        return await handler(request)
    fault = faults.spend(request.method, request.path_qs)
    if fault is None:
        return await handler(request)
    match fault.kind:
        case "status":
            if isinstance(fault.body, str):
                return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
            return web.json_response(fault.body or {}, status=fault.status, headers=fault.headers)
        case "hang":
            await faults.hang()
        case "lost":
            await handler(request)
        case "reset":
            pass
    return break_off(request)
