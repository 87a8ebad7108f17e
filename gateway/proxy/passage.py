"""What a request asks, and what its way through needs."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.proxy.fields import (
    ASKED,
    AUTHORIZATION,
    CONNECTION,
    COOKIE,
    EXPECT,
    HOST,
    LENGTH,
    UPGRADE,
    Cookies,
    options,
)
from gateway.proxy.framing import CHUNKED
from gateway.proxy.heads import Asked
from provisioner.instance import Endpoint

_REPLAYABLE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_AS_IS: Final = frozenset({HOST, LENGTH})
_NEVER_NAMED: Final = frozenset({b"host", b"content-length"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What one exchange needs to know beside the request; built by the gateway for each."""

    endpoint: Endpoint
    key: Hashable
    """Whose exchange: for draining and counting. Hashed several times a request, so an id, not a record."""
    session: Hashable | None = None
    """For cutting one session."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """Fields added after cleaning."""
    drop_cookies: frozenset[bytes] = frozenset()
    """Lower-case names of cookies that neither reach a Machine nor are accepted from one."""
    drop_cookie_prefixes: tuple[bytes, ...] = ()
    """Likewise, beginnings of names."""
    drop_authorization: bool = False
    """The bearer token was ours."""
    touch: Callable[[], None] = lambda: None
    """Called for the request and for data in either direction on an open stream; for frames at the next tick."""
    silent: Callable[[], None] = lambda: None
    """Called at every tick while the Machine says nothing for longer than `silent_s`. Must be cheap."""


class Asking:
    """A request cleaned for the Machine, and what about it decides how it is answered."""

    __slots__ = ("body", "chunked", "expects", "head", "head_only", "http11", "keep_alive", "replayable", "upgrade")

    def __init__(self, asked: Asked, passage: Passage, ours: Cookies) -> None:
        method = asked.method
        self.http11 = not asked.http10
        self.head_only = method == b"HEAD"
        self.chunked = asked.length == CHUNKED
        self.body = asked.length != 0
        self.expects = self.upgrade = False
        self.replayable = method in _REPLAYABLE and not self.body
        lines = asked.head.split(b"\r\n")
        said: frozenset[bytes] = frozenset()
        named: frozenset[bytes] = frozenset()
        jar: list[bytes] = []
        upgrade = b""
        kept = [method + b" " + asked.target + b" HTTP/1.1"]
        keep = kept.append
        del lines[0], lines[-2:]
        for line in lines:
            name, _, value = line.partition(b":")
            kind = ASKED[name]
            if not kind or kind in _AS_IS:
                keep(line)
            elif kind == COOKIE:
                jar.append(value.strip(b" \t"))
            elif kind == CONNECTION:
                here, names = options(value)
                said, named = said | here, named | names
            elif kind == UPGRADE:
                upgrade = value.strip(b" \t").lower()
            elif kind == AUTHORIZATION:
                if not passage.drop_authorization:
                    keep(line)
            elif kind == EXPECT:
                self.expects = self.http11 and self.body and value.strip(b" \t").lower() == b"100-continue"
        if asked.http10 and b"\r\nhost:" not in asked.head.lower():
            keep(b"Host:")  # RFC 9112 §3.2: HTTP/1.1 has one, if an empty one
        if jar:
            cookie = ours.without(jar[0] if len(jar) == 1 else b"; ".join(jar))
            if cookie:
                keep(b"Cookie: " + cookie)
        if named:
            kept[1:] = [line for line in kept[1:] if line.partition(b":")[0].lower() not in named - _NEVER_NAMED]
        if upgrade == b"websocket" and b"upgrade" in said and method == b"GET" and self.http11 and not self.body:
            self.upgrade = True
            keep(b"Connection: Upgrade\r\nUpgrade: websocket")
        if self.chunked:
            keep(b"Transfer-Encoding: chunked")
        if self.expects:
            keep(b"Expect: 100-continue")
        self.keep_alive = b"close" not in said and (self.http11 or b"keep-alive" in said)
        for name, value in passage.headers:
            keep(name + b": " + value)
        keep(b"\r\n")
        self.head = b"\r\n".join(kept)
        """For the Machine, empty line included."""
