"""Does the App of a Machine answer? Asked of its Guard, which is the only thing there that we know."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final, Protocol

import httpx

from provisioner.connections import client_of
from provisioner.instance import Endpoint, MachineId

UNREADABLE: Final = "a guard that cannot be read"
REASON_MOST: Final = 200


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
    """Asks `GET /_guard/health`. Keeps no connection: a pooled one to a suspended Machine would hang."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["GuardProbe"]:
        """A probe on a client of its own, closed with the block."""
        async with client_of(httpx.Limits(max_keepalive_connections=0)) as client:
            yield cls(client)

    async def health(self, endpoint: Endpoint, machine_id: MachineId, *, timeout: float) -> Health:
        url = httpx.URL(scheme="http", host=endpoint.host, port=endpoint.port, path="/_guard/health")
        try:
            async with asyncio.timeout(timeout):
                answer = await self._client.get(url)
        except (TimeoutError, httpx.TransportError):
            return Health.SILENT
        try:
            told = answer.json()
            if told["machine_id"] != machine_id:
                return Health.SILENT
            return Health(told["status"])
        except (ValueError, KeyError, TypeError):
            return Health.SILENT  # whoever that is, it is no Guard of ours

    async def exchanges(self, endpoint: Endpoint, assertion: str, *, timeout: float) -> int | None:
        url = httpx.URL(scheme="http", host=endpoint.host, port=endpoint.port, path="/_guard/busy")
        try:
            async with asyncio.timeout(timeout):
                answer = await self._client.get(url, headers={"X-Jarvis-Assertion": assertion})
            return int(answer.json()["open_streams"]) if answer.status_code == httpx.codes.OK else None
        except (TimeoutError, httpx.TransportError, ValueError, KeyError, TypeError):
            return None

    async def busy(self, endpoint: Endpoint, assertion: str, *, timeout: float) -> str | None:
        url = httpx.URL(scheme="http", host=endpoint.host, port=endpoint.port, path="/_guard/busy")
        try:
            async with asyncio.timeout(timeout):
                answer = await self._client.get(url, headers={"X-Jarvis-Assertion": assertion})
            told = answer.json()
            if answer.status_code != httpx.codes.OK:
                return UNREADABLE
            return _plain(told["reason"]) if told["busy"] else None
        except (TimeoutError, httpx.TransportError, ValueError, KeyError, TypeError):
            return UNREADABLE

    async def claim(self, endpoint: Endpoint, token: str, *, timeout: float) -> bool:
        url = httpx.URL(scheme="http", host=endpoint.host, port=endpoint.port, path="/_guard/claim")
        try:
            async with asyncio.timeout(timeout):
                answer = await self._client.post(url, headers={"X-Jarvis-Assertion": token})
        except (TimeoutError, httpx.TransportError):
            return False
        return answer.status_code == httpx.codes.OK


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
