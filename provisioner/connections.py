"""HTTP connections for crowds: what Fly and Guards are called with."""

import ssl
from typing import Final

import httpx

POOLS: Final = 16
EACH: Final = 8
"""Calls that wait for an answer in one pool before the next is used."""


class Connections(httpx.AsyncBaseTransport):
    """Several small pools instead of a large one. For one event loop.

    httpcore looks at every connection of a pool several times a call, so a hundred calls at once cost each other four
    times what they cost alone. The first pool with room is taken: a quiet gateway keeps to that one, and its connection
    is warm.
    """

    def __init__(self, *, verify: ssl.SSLContext, limits: httpx.Limits) -> None:
        """`limits` of each pool. Every pool shares `verify`: reading all certificates takes 30 ms."""
        self._pools = [httpx.AsyncHTTPTransport(verify=verify, limits=limits) for _ in range(POOLS)]
        self._waiting = [0] * POOLS

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        chosen = next((n for n, waiting in enumerate(self._waiting) if waiting < EACH), None)
        if chosen is None:
            chosen = self._waiting.index(min(self._waiting))
        self._waiting[chosen] += 1
        try:
            return await self._pools[chosen].handle_async_request(request)
        finally:
            self._waiting[chosen] -= 1

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()


def client_of(limits: httpx.Limits) -> httpx.AsyncClient:
    """A client with `Connections` of its own, for a `with` block; `limits` of each of its pools.

    Proxies that the environment names are not asked: they must neither see a token nor stand before a local Fly.
    """
    verify = httpx.create_ssl_context(trust_env=False)
    return httpx.AsyncClient(transport=Connections(verify=verify, limits=limits), trust_env=False)
