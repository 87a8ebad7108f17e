"""Where a delivery may go: to public addresses, over TLS. We sit in a private network that trusts us."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

URL_MOST: Final = 2000
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class BadAim(Exception):
    """This is nowhere a webhook may go to; the words are for the operator."""


def is_public(address: str) -> bool:
    """Whether the internet routes it, also when it hides an IPv4 address in an IPv6 one."""
    ip = ip_address(address.partition("%")[0])
    return all(each.is_global and not each.is_multicast for each in (ip, *_hidden(ip)))


def _hidden(ip: IPv4Address | IPv6Address) -> Sequence[IPv4Address]:
    if isinstance(ip, IPv4Address):
        return ()
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if any(ip in network for network in _NAT64):
        found.append(IPv4Address(int(ip) & 0xFFFFFFFF))
    return [each for each in found if each is not None]


def checked(url: str, *, private: bool) -> str:
    """`url` if a webhook may be sent there, as far as one can tell without asking a name server. Raises BadAim.

    `private` admits plain HTTP and private addresses.
    """
    if len(url) > URL_MOST or not url.isascii() or not url.isprintable() or " " in url:
        raise BadAim(f"has to be a URL of {URL_MOST} plain characters at most")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadAim("is no URL") from None
    if parts.scheme not in (("https", "http") if private else ("https",)):
        raise BadAim("has to begin with https://")
    if not parts.hostname or parts.username is not None or parts.fragment or port == 0:
        raise BadAim("has to name a host, and neither a user nor a fragment")
    if not private and _is_literal(parts) and not is_public(parts.hostname):
        raise BadAim("leads to a private address")
    return url


def _is_literal(parts: SplitResult) -> bool:
    try:
        ip_address((parts.hostname or "").partition("%")[0])
    except ValueError:
        return False
    return True


class PublicResolver(AbstractResolver):
    """Names that lead to public addresses only: asked again at every connection, so that a name cannot change its mind
    between our check and our call."""

    def __init__(self) -> None:
        self._real = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._real.resolve(host, port, family)
        if not found or not all(is_public(each["host"]) for each in found):
            raise OSError(None, "leads to a private address")
        return found

    async def close(self) -> None:
        await self._real.close()
