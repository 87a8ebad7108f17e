"""HTTP connections for crowds: what Fly and Guards are called with."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Final

import aiohttp
import httpx

MOST: Final = 512
"""Connections at once; whoever comes later waits for one."""
_KEPT_S: Final = 30.0


@asynccontextmanager
async def connections(*, keep: bool) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with connections of its own, for one event loop; closed with the block.

    aiohttp's, because httpx takes six times as much of a core for a call, and a wake is four calls. It follows a
    redirect only where that is asked for, keeps no cookies, and asks no proxy that the environment names: one must
    neither see a token nor stand before a local Fly. `keep` says whether connections stay open for the next call.
    """
    connector = (
        aiohttp.TCPConnector(limit=MOST, ssl=_authorities(), keepalive_timeout=_KEPT_S)
        if keep
        else aiohttp.TCPConnector(limit=MOST, ssl=_authorities(), force_close=True)
    )
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        # Whoever calls repeats what may be repeated, in the time that is left, and counts each try. There is no public
        # switch; aiohttp's own test client uses this one, and a test says for which version it was looked at.
        session._retry_connection = False
        yield session


@cache
def _authorities() -> ssl.SSLContext:
    """Whom everything here trusts, read once: that takes 30 ms."""
    return httpx.create_ssl_context(trust_env=False)
