"""What a request asks, and what its way through needs."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from aiohttp import HttpVersion11, web

from gateway.proxy.fields import ASKED, Kind, cookies, nominated, options
from provisioner.instance import Endpoint


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
    """Called for the request and for data in either direction on an open stream. Must be cheap."""


class Asking:
    """A cleaned request head, and what about the request decides how it is answered."""

    __slots__ = ("expects", "head", "head_only", "http11", "keep_alive", "length", "replayable", "upgrade")

    head: bytes
    """For the Machine, without the empty line at the end of an upgrade-free head being left out."""
    length: bytes | None
    """Content-Length as sent; None with a body means chunked."""

    def __init__(self, request: web.BaseRequest, target: bytes | None, passage: Passage) -> None:
        """`target`: as it came, where aiohttp knows it in another spelling."""
        method = request.method
        self.http11 = request.version == HttpVersion11
        self.keep_alive = bool(request.keep_alive)
        self.head_only = method == "HEAD"
        self.expects = self.upgrade = False
        self.length = None
        body = request.body_exists
        self.replayable = method in ("GET", "HEAD", "OPTIONS") and not body
        raw = target or request.raw_path.encode("utf-8", "surrogateescape")
        lines = [b"%b %b HTTP/1.1" % (method.encode(), raw)]
        keep = lines.append
        jar: list[bytes] = []
        said: list[bytes] = []
        named: frozenset[bytes] = frozenset()
        upgrade = b""
        for name, value in request.raw_headers:
            kind = ASKED[name]
            if not kind or kind == Kind.HOST:
                keep(b"%b: %b" % (name, value))
            elif kind == Kind.COOKIE:
                jar.append(value)
            elif kind == Kind.CONNECTION:
                said += options(value)
                named |= nominated(value)
            elif kind == Kind.LENGTH:
                self.length = value
            elif kind == Kind.UPGRADE:
                upgrade = value.lower()
            elif kind == Kind.AUTHORIZATION:
                if not passage.drop_authorization:
                    keep(b"%b: %b" % (name, value))
            elif kind == Kind.EXPECT:
                self.expects = self.http11 and body and value.lower() == b"100-continue"
        if named:
            lines[1:] = [line for line in lines[1:] if line.partition(b":")[0].lower() not in named - {b"host"}]
        if jar and b"cookie" not in named:
            kept = cookies(jar, passage.drop_cookies, passage.drop_cookie_prefixes)
            if kept:
                keep(b"Cookie: " + kept)
        if upgrade == b"websocket" and b"upgrade" in said and method == "GET" and self.http11 and not body:
            self.upgrade = True
            keep(b"Connection: Upgrade\r\nUpgrade: websocket")
        if self.length is not None:
            keep(b"Content-Length: " + self.length)
        elif body:
            keep(b"Transfer-Encoding: chunked")
        if self.expects:
            keep(b"Expect: 100-continue")
        for name, value in passage.headers:
            keep(b"%b: %b" % (name, value))
        keep(b"")
        keep(b"")
        self.head = b"\r\n".join(lines)
