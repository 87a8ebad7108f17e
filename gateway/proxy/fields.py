"""Which header fields pass through a proxy, and which end at it.

Every name seen is judged once; the verdict is kept by the exact spelling that came, so that the hot path is
one dictionary look-up a field.
"""

import re
from collections.abc import Collection, Iterable
from enum import IntEnum
from typing import Final

from gateway.proxy.framing import Malformed

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEPT_VERDICTS: Final = 2048

_HOP: Final = {
    b"keep-alive": None,
    b"proxy-connection": None,
    b"proxy-authenticate": None,
    b"proxy-authorization": None,
    b"te": None,
    b"trailer": None,
}


class Kind(IntEnum):
    """What a field means to a proxy. PASS is 0, so that the common case is falsy."""

    PASS = 0
    DROP = 1
    CONNECTION = 2
    LENGTH = 3
    CODING = 4
    UPGRADE = 5
    HOST = 6
    COOKIE = 7
    AUTHORIZATION = 8
    EXPECT = 9
    SET_COOKIE = 10
    TYPE = 11


class Verdicts(dict[bytes, int]):
    """Field name, as spelled → Kind. Raises Malformed for what is no field name at all."""

    def __init__(self, special: dict[bytes, Kind], *, identity: bool) -> None:
        super().__init__()
        self._special, self._identity = special, identity

    def __missing__(self, name: bytes) -> int:
        kind = self._judge(name)
        if len(self) < _KEPT_VERDICTS and len(name) <= 64:
            self[name] = kind
        return kind

    def _judge(self, name: bytes) -> int:
        if _TOKEN.fullmatch(name) is None:
            raise Malformed("bad field name")
        low = name.lower()
        dashed = low.replace(b"_", b"-")
        if self._identity and (
            dashed in (b"forwarded", b"x-real-ip") or dashed.startswith((b"x-forwarded", b"fly-", b"x-jarvis-"))
        ):
            return int(Kind.DROP)
        if dashed in _HOP:
            return int(Kind.DROP)
        kind = self._special.get(dashed, Kind.PASS)
        # CGI-like servers read "Content_Length" as Content-Length: framing in disguise never passes.
        return int(Kind.DROP if kind and low != dashed else kind)


_FRAMING: Final = {
    b"connection": Kind.CONNECTION,
    b"content-length": Kind.LENGTH,
    b"transfer-encoding": Kind.CODING,
    b"upgrade": Kind.UPGRADE,
}
ASKED: Final = Verdicts(
    _FRAMING
    | {
        b"host": Kind.HOST,
        b"cookie": Kind.COOKIE,
        b"authorization": Kind.AUTHORIZATION,
        b"expect": Kind.EXPECT,
    },
    identity=True,
)
"""Fields of requests."""
ANSWERED: Final = Verdicts(
    _FRAMING | {b"set-cookie": Kind.SET_COOKIE, b"content-type": Kind.TYPE},
    identity=False,
)
"""Fields of answers."""

_PLAIN_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b""})


def options(value: bytes) -> list[bytes]:
    """The members of a comma-separated field, in lower case."""
    return [option.strip(b" \t") for option in value.lower().split(b",")]


def nominated(value: bytes) -> frozenset[bytes]:
    """Lower-case names of the fields that a Connection field declares to be hop-by-hop."""
    return frozenset(options(value)) - _PLAIN_OPTIONS


def is_ours(cookie: bytes, exact: Collection[bytes], prefixes: tuple[bytes, ...]) -> bool:
    """Whether `name=value` names one of the gateway's cookies, however it is spelled.

    A cookie without a name is judged by its value: browsers send `Set-Cookie: =a=b` back as `a=b`.
    """
    name, _, value = cookie.partition(b"=")
    name = name.strip(b" \t")
    if not name:
        name = value.partition(b"=")[0].strip(b" \t")
    name = name.lower()
    return name in exact or name.startswith(prefixes)


def cookies(lines: Iterable[bytes], exact: Collection[bytes], prefixes: tuple[bytes, ...]) -> bytes:
    """One Cookie value out of several lines, without the gateway's own; empty if nothing is left.

    `exact` and `prefixes` are in lower case. What is kept stays byte for byte.
    """
    kept = [part for line in lines for part in _split(line) if not is_ours(part, exact, prefixes)]
    return b";".join(kept).strip(b" \t")


def _split(line: bytes) -> list[bytes]:
    parts = line.split(b";")
    if parts[0][:1] != b" ":
        parts[0] = b" " + parts[0]
    return parts
