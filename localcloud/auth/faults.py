"""Trouble on demand: answers that fail, wait, hang, break off, or get lost after the work was done."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from aiohttp import web
from aiohttp.typedefs import Handler

from localcloud.auth.errors import Refusal, answer

Kind = Literal["status", "hold", "hang", "reset", "lost_answer"]
KINDS: Final = get_args(Kind)


class BadFault(Exception):
    """A fault that was not understood; the text says why."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next `times` requests whose method and path (with query) match.

    `status` answers so without doing anything; `hold` waits until the faults are cleared and then does the work;
    `hang` waits as long and answers nothing; `reset` breaks the connection before the work, `lost_answer` after it,
    so that the caller cannot know that it was done.
    """

    path: str
    """A glob over path and query, such as `/auth/v1/token*`."""
    kind: Kind
    method: str = "*"
    times: int | None = 1
    """None: until removed."""
    status: int = 503
    code: str = ""
    """One of Auth's own codes: the answer is then worded as Auth words it, and `body` is not used."""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def matches(self, method: str, path: str) -> bool:
        return self.times != 0 and fnmatchcase(method, self.method) and fnmatchcase(path, self.path)


def read_fault(body: Mapping[str, Any]) -> Fault:
    """A fault from JSON, flat or in the local Fly's shape: `{match: {method, path}, times, fault: {kind, …}}`.

    Raises:
        BadFault: a member is unknown, missing or of a wrong type.
    """
    flat = {name: value for name, value in body.items() if name not in {"match", "fault"}}
    try:
        fault = Fault(**{**flat, **body.get("match", {}), **body.get("fault", {})})
    except TypeError as error:
        raise BadFault(str(error)) from error
    if fault.kind not in KINDS:
        raise BadFault(f"kind must be one of {', '.join(KINDS)}")
    texts = (fault.path, fault.method, fault.code, *fault.headers, *fault.headers.values())
    if not fault.path or not all(isinstance(value, str) for value in texts):
        raise BadFault("path, method, code and headers are text, and path is not empty")
    if not isinstance(fault.status, int) or not isinstance(fault.times, int | None):
        raise BadFault("status and times are numbers")
    return fault


class Faults:
    """The faults still to come, in order; the first that matches is spent."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []
        self._cleared = asyncio.Event()

    def add(self, fault: Fault) -> None:
        self._pending.append(fault)

    def clear(self) -> None:
        """No more trouble; requests that are held go on, and those that hang are broken off."""
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

    async def cleared(self) -> None:
        """Wait for the next `clear`."""
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
            if fault.code:
                return answer(request, Refusal(fault.status, fault.code, "Scripted"))
            if isinstance(fault.body, str):
                return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
            return web.json_response(fault.body or {}, status=fault.status, headers=fault.headers)
        case "hold":
            await faults.cleared()
            return await handler(request)
        case "hang":
            await faults.cleared()
        case "lost_answer":
            await handler(request)
        case "reset":
            pass
    return break_off(request)
