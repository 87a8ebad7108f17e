"""Does the App of a Machine answer? Asked of its Guard, which is the only thing there that we know."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from provisioner.connections import connections
from provisioner.instance import Endpoint, MachineId

UNREADABLE: Final = "a guard that cannot be read"
REASON_MOST: Final = 200
ANSWER_MOST: Final = 64 * 1024
"""Bytes, from which on an answer is not looked at: a Machine may send without end."""


class Health(StrEnum):
    """What the Guard of an Endpoint says, or that nobody says anything."""

    SILENT = "silent"  # no answer: not up, suspended, or not there
    STARTING = "starting"  # the Guard answers, the App does not yet
    READY = "ready"
    UNCLAIMED = "unclaimed"  # a spare: the Guard answers, and starts the App when it is told whose it is
    FAILED = "failed"  # the App exited and the Guard cannot bring it up


class Probe(Protocol):
    """Looks at one Endpoint once."""

    async def health(self, endpoint: Endpoint, machine_id: MachineId, *, timeout: float) -> Health:
        """SILENT as well when another Machine answers at this address: Fly gives addresses away again.

        Never raises for what the Endpoint does; `timeout` in seconds bounds the whole look.
        """

    async def exchanges(self, endpoint: Endpoint, assertion: str, *, timeout: float) -> int | None:
        """How many requests and streams are open at the Machine, over whichever replica; None: it does not say."""

    async def busy(self, endpoint: Endpoint, assertion: str, *, timeout: float) -> str | None:
        """Why the Machine is not to be put to sleep, in its own words; None: it may be.

        One that cannot be read counts as busy: in doubt it stays awake. Those words are a Machine's, so they are short
        and printable, and nothing else is promised about them.
        """

    async def claim(self, endpoint: Endpoint, token: str, *, timeout: float) -> bool:
        """Tell a spare whose it is. False: it refused, or said nothing; then it may have heard it all the same."""


class GuardProbe:
    """Asks `/_guard/…`. Keeps no connection: a pooled one to a suspended Machine would hang."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        """`http` stays the caller's to close; a `connections(keep=False)`."""
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["GuardProbe"]:
        """A probe on connections of its own, closed with the block."""
        async with connections(keep=False) as http:
            yield cls(http)

    async def health(self, endpoint: Endpoint, machine_id: MachineId, *, timeout: float) -> Health:
        _, told = await self._asked("GET", endpoint, "health", within=timeout)
        try:
            if told["machine_id"] != machine_id:
                return Health.SILENT
            return Health(told["status"])
        except (ValueError, KeyError, TypeError):
            return Health.SILENT  # whoever that is, it is no Guard of ours

    async def exchanges(self, endpoint: Endpoint, assertion: str, *, timeout: float) -> int | None:
        status, told = await self._asked("GET", endpoint, "busy", assertion, within=timeout)
        try:
            return int(told["open_streams"]) if status == HTTPStatus.OK else None
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    async def busy(self, endpoint: Endpoint, assertion: str, *, timeout: float) -> str | None:
        status, told = await self._asked("GET", endpoint, "busy", assertion, within=timeout)
        try:
            if status != HTTPStatus.OK:
                return UNREADABLE
            return _plain(told["reason"]) if told["busy"] else None
        except (KeyError, TypeError):
            return UNREADABLE

    async def claim(self, endpoint: Endpoint, token: str, *, timeout: float) -> bool:
        status, _ = await self._asked("POST", endpoint, "claim", token, within=timeout)
        return status == HTTPStatus.OK

    async def _asked(
        self, method: str, endpoint: Endpoint, what: str, assertion: str | None = None, *, within: float
    ) -> tuple[int, Any]:
        """Status and JSON of an answer that came whole within so many seconds; None for JSON that is none.

        (0, None) for everything else that a Machine may do.
        """
        url = URL.build(scheme="http", host=endpoint.host, port=endpoint.port, path=f"/_guard/{what}")
        headers = {} if assertion is None else {"X-Jarvis-Assertion": assertion}
        try:
            async with (
                asyncio.timeout(within),
                self._http.request(method, url, headers=headers, allow_redirects=False) as answer,
            ):
                await answer.content.readexactly(ANSWER_MOST)
        except asyncio.IncompleteReadError as whole:
            return answer.status, _json(whole.partial)
        except (TimeoutError, aiohttp.ClientError):
            pass
        return 0, None


def _json(text: bytes) -> Any:
    """None for what is no JSON."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _plain(reason: object) -> str:
    """What a Machine says, fit to be stored and shown."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(reason)[:REASON_MOST])
    return text.strip() or "work of its own"


def endpoint_of(private_ip: str, *, guard_port: int) -> Endpoint:
    """Where a Machine's Guard listens. `127.0.0.1:4711`, with a port, is how the local Fly says it off Linux."""
    host, colon, port = private_ip.partition(":")
    if colon and "." in host:
        return Endpoint(host, int(port))
    return Endpoint(private_ip, guard_port)
