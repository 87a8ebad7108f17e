"""Which header fields pass through a proxy, and which end at it.

Every name seen is judged once; the verdict is kept by the exact spelling that came, so that the hot path is
one dictionary look-up a field.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from gateway.proxy.framing import Malformed

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEPT_VERDICTS: Final = 2048
_USUAL_MOST: Final = 4096
_USUAL_BYTES: Final = 160

_HOP: Final = (
    b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
)  # fmt: skip


# What a field means to a proxy. PASS is 0, so that the common case is falsy; plain numbers, because members of an
# Enum cost three times as much where this is asked for every field of every message.
PASS: Final = 0
DROP: Final = 1
CONNECTION: Final = 2
LENGTH: Final = 3
CODING: Final = 4
UPGRADE: Final = 5
HOST: Final = 6
COOKIE: Final = 7
AUTHORIZATION: Final = 8
EXPECT: Final = 9
SET_COOKIE: Final = 10
TYPE: Final = 11
ODD: Final = 12


class Verdicts(dict[bytes, int]):
    """Field name, as spelled → what it means. Raises Malformed for what is no field name at all."""

    def __init__(
        self, special: dict[bytes, int], dropped: Collection[bytes] = (), prefixes: tuple[bytes, ...] = ()
    ) -> None:
        """`dropped` and what begins with one of `prefixes` ends here, with any `_` for a `-`."""
        super().__init__()
        self._special, self._dropped, self._prefixes = special, frozenset(dropped) | frozenset(_HOP), prefixes
        self.usual: set[bytes] = set()
        """Lines that just pass. Browsers send the same ones with every request, so most need no second look."""

    def passes(self, line: bytes) -> None:
        """A line of a field that just passes was met: it may be a usual one."""
        if len(line) <= _USUAL_BYTES:
            if len(self.usual) >= _USUAL_MOST:
                self.usual.clear()
            self.usual.add(line)

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
        if dashed in self._dropped or dashed.startswith(self._prefixes):
            return DROP
        kind = self._special.get(dashed, PASS)
        # CGI-like servers read "Content_Length" as Content-Length: framing in disguise never passes.
        return DROP if kind and low != dashed else kind


_FRAMING: Final = {
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"upgrade": UPGRADE,
}
_ASKED: Final = _FRAMING | {
    b"host": HOST,
    b"cookie": COOKIE,
    b"authorization": AUTHORIZATION,
    b"expect": EXPECT,
    b"sec-websocket-key1": ODD,  # of a draft that nobody speaks; aiohttp refuses it
}
ASKED: Final = Verdicts(
    # A service worker's script may come to answer for the gateway's own paths: the core looks at it.
    _ASKED | {b"service-worker": ODD},
    (b"forwarded", b"x-real-ip"),
    (b"x-forwarded", b"fly-", b"x-jarvis-"),
)
"""Fields of requests from anywhere: who they come from is for us to say."""
ASKED_INSIDE: Final = Verdicts(_ASKED, (b"x-jarvis-user", b"x-jarvis-email", b"x-jarvis-assertion"))
"""Fields of requests that came through a gateway: what it says of their origin passes, who asks is said anew."""
ANSWERED: Final = Verdicts(
    _FRAMING
    | {
        b"set-cookie": SET_COOKIE,
        b"content-type": TYPE,
        b"service-worker-allowed": DROP,  # would let a script in a folder answer for the whole origin
    }
)
"""Fields of answers."""

_PLAIN_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b""})


@lru_cache(maxsize=256)
def options(connection: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """What a Connection value says, in lower case: all its members, and those that nominate fields to be dropped."""
    said = frozenset(option.strip(b" \t") for option in connection.lower().split(b","))
    return said, said - _PLAIN_OPTIONS


class Cookies:
    """Which cookies are the gateway's, however they are spelled.

    Names are compared without case, and a cookie without a name by its value: what a Machine sets as
    `=name=x`, browsers send back as `name=x`.
    """

    __slots__ = ("_ours",)

    def __init__(self, exact: Collection[bytes], prefixes: Collection[bytes]) -> None:
        names = [re.escape(name) + rb"[ \t]*(?:[=;]|$)" for name in sorted(exact)]
        names += [re.escape(prefix) for prefix in sorted(prefixes)]
        self._ours = re.compile(rb"[= \t]*(?:" + (b"|".join(names) or rb"(?!)") + rb")", re.IGNORECASE).match

    def without(self, cookie: bytes) -> bytes:
        """A Cookie value without the gateway's own, the rest byte for byte; empty if nothing is left."""
        ours = self._ours
        # Not one substitution over the whole: the search for each ";" made that ten times slower.
        parts = cookie.split(b";")
        kept = [part for part in parts if ours(part) is None]
        return cookie if len(kept) == len(parts) else b";".join(kept).lstrip(b" \t")

    def refuses(self, set_cookie: bytes) -> bool:
        """Whether a Set-Cookie value would set one of them."""
        return self._ours(set_cookie) is not None
