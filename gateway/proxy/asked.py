"""A request's head: read once, strictly, and written again for the Machine.

Every lane uses this one reading, so that no two of them can disagree about where a request ends or whose it is.
References are to RFC 9112.
"""

import re
from typing import TYPE_CHECKING, Final

from gateway.proxy.fields import (
    ASKED,
    AUTHORIZATION,
    CODING,
    CONNECTION,
    COOKIE,
    EXPECT,
    HOST,
    LENGTH,
    ODD,
    UPGRADE,
    Verdicts,
    options,
)
from gateway.proxy.framing import CHUNKED, Malformed
from gateway.proxy.heads import DIGITS, check_lines

if TYPE_CHECKING:
    from gateway.proxy.errors import UpstreamError
    from gateway.proxy.passage import Passage

_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP/1\.([01])\r\n")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@\\]+)([/?].*)?", re.IGNORECASE)
_HOST_LINE: Final = re.compile(rb"(\r\nhost:)[^\r]*", re.IGNORECASE)
_FRAMING_LINE: Final = re.compile(rb"\r\n(?:content-length|transfer-encoding)[^\r]*", re.IGNORECASE)
_PLAIN_HOST: Final = re.compile(rb"[0-9A-Za-z.\-_:\[\]]+").fullmatch
_KNOWN: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_REPLAYABLE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_NEVER_NAMED: Final = frozenset({b"host", b"content-length"})
_NOTHING: Final[frozenset[bytes]] = frozenset()
_USUAL_MOST: Final = 4096
_USUAL_BYTES: Final = 160


class Asked:
    """One request's head, and what it says about how it may be answered."""

    __slots__ = (
        "_named", "_verdicts", "authorization", "cookie", "expects", "fault", "fields", "head", "head_only", "host",
        "http11", "keep_alive", "kept", "length", "method", "plain", "shown", "target", "upgrade",
    )  # fmt: skip

    def __init__(self, head: bytes, method: bytes, target: bytes, verdicts: Verdicts, *, http11: bool) -> None:
        self.head = head
        """As it came, empty line included, but with the target in origin-form and a Host that agrees with it."""
        self.shown = head
        """The same, spelled for a parser that knows only ASCII targets."""
        self.method, self.target = method, target
        self.http11 = http11
        self.head_only = method == b"HEAD"
        self.length = 0
        """Bytes of body to come, or CHUNKED."""
        self.kept: list[bytes] = []
        """Lines that pass, the request line first, Cookies not among them."""
        self.fields = 0
        """Number of header lines that came."""
        self.cookie = b""
        """Value of the Cookie line; several are joined, as an edge that speaks HTTP/2 may have split them."""
        self.host = b""
        self.authorization = False
        """An Authorization line is among those kept."""
        self.expects = self.upgrade = False
        self.keep_alive = True
        self.plain = False
        """Nothing about it is unusual: origin-form, HTTP/1.1, a common method, no Expect, nothing nominated."""
        self.fault: UpstreamError | None = None
        """What another lane met with when it tried to have this request answered."""
        self._named = _NOTHING
        self._verdicts = verdicts

    @property
    def body(self) -> bool:
        """There is one, if an empty one in chunks."""
        return self.length != 0

    @property
    def replayable(self) -> bool:
        """It may be sent again if the Machine said nothing at all."""
        return self.length == 0 and self.method in _REPLAYABLE

    @property
    def stub(self) -> bytes:
        """`shown` with a body of one byte, for a parser that must not see what is left of the real one."""
        return _FRAMING_LINE.sub(b"", self.shown[:-2]) + b"Content-Length: 1\r\n\r\n"

    def values(self, name: bytes) -> list[bytes]:
        """What the head says under a lower-case `name`, passed on or not."""
        head, mark, found = self.head, b"\r\n" + name + b":", []
        low = head.lower()
        at = low.find(mark)
        while at >= 0:
            start = at + len(mark)
            at = head.index(b"\r\n", start)
            found.append(head[start:at].strip(b" \t"))
            at = low.find(mark, at)
        return found

    def for_machine(self, passage: "Passage") -> bytes:
        """The head for the Machine, empty line included."""
        kept = self.kept
        lines = kept.copy()
        if self.authorization and passage.drop_authorization:
            lines[1:] = [line for line in kept[1:] if line.partition(b":")[0].lower() != b"authorization"]
        named = self._named
        if named:
            lines[1:] = [line for line in lines[1:] if line.partition(b":")[0].lower() not in named]
        if self.cookie and b"cookie" not in named and (cookie := passage.cleaned(self.cookie)):
            lines.append(b"Cookie: " + cookie)
        if self.upgrade:
            lines.append(b"Connection: Upgrade\r\nUpgrade: websocket")
        elif self.length == CHUNKED:
            lines.append(b"Transfer-Encoding: chunked")
        if self.expects:
            lines.append(b"Expect: 100-continue")
        lines.append(passage.lines + b"\r\n")
        return b"\r\n".join(lines)

    def forget(self) -> None:
        """Let go of the head, once nothing can be asked of it any more: a WebSocket may live for days."""
        self.head = self.shown = self.cookie = b""
        self.kept = []

    def _read(self, lines: list[bytes]) -> None:
        """Judge every field once. A folded line is none, for its name begins with a space."""
        del lines[0], lines[-1]
        self.fields = len(lines)
        kept = [self.method + b" " + self.target + b" HTTP/1.1"]
        keep = kept.append
        said, verdicts = _NOTHING, self._verdicts
        usual = verdicts.usual
        lengths: bytes | None = None
        coded = odd = False
        hosts = 0
        upgrade = b""
        for line in lines:
            if line in usual:
                keep(line)
                continue
            name, colon, value = line.partition(b":")
            if not colon:
                raise Malformed("a header line without a colon")
            kind = verdicts[name]
            if not kind:
                keep(line)
                if len(line) <= _USUAL_BYTES:
                    if len(usual) >= _USUAL_MOST:
                        usual.clear()
                    usual.add(line)
            elif kind == COOKIE:
                value = value.strip(b" \t")
                self.cookie = self.cookie + b"; " + value if self.cookie else value
            elif kind == HOST:
                hosts += 1
                self.host = value.strip(b" \t")
                keep(line)
            elif kind == CONNECTION:
                here, names = options(value)
                said |= here
                if names:
                    self._named |= names
            elif kind == LENGTH:
                text = value.strip(b" \t")
                if lengths is not None or DIGITS(text) is None:
                    raise Malformed("bad Content-Length")
                lengths = text
                keep(line)
            elif kind == CODING:
                if coded or not self.http11 or value.strip(b" \t").lower() != b"chunked":
                    raise Malformed("bad Transfer-Encoding")
                coded = True
            elif kind == UPGRADE:
                upgrade = value.strip(b" \t").lower()
            elif kind == AUTHORIZATION:
                self.authorization = True
                keep(line)
            elif kind == ODD:
                odd = True
                keep(line)
            elif kind == EXPECT:
                odd = True
                self.expects = value.strip(b" \t").lower() == b"100-continue"
        if coded:
            if lengths is not None:
                raise Malformed("Content-Length and Transfer-Encoding together")
            self.length = CHUNKED
        elif lengths is not None:
            self.length = int(lengths)
        if hosts != 1:
            if hosts or self.http11:
                raise Malformed("not exactly one Host")
            keep(b"Host:")  # §3.2: HTTP/1.1 has one, if an empty one
        self.kept = kept
        self.expects = self.expects and self.http11 and self.length != 0
        if said:
            self.keep_alive = b"close" not in said and (self.http11 or b"keep-alive" in said)
            self._named -= _NEVER_NAMED
        else:
            self.keep_alive = self.http11
        if upgrade:
            self.upgrade = (
                upgrade == b"websocket" and b"upgrade" in said and self.http11 and self.length == 0
                and self.method == b"GET"
            )  # fmt: skip
        self.plain = (
            self.http11 and not (odd or self._named) and self.method in _KNOWN and self.shown is self.head
            and self.target[0] == 0x2F and _PLAIN_HOST(self.host) is not None and self.upgrade == bool(upgrade)
        )  # fmt: skip


def read_request(head: bytes, verdicts: Verdicts = ASKED, lines: list[bytes] | None = None) -> Asked:
    """What `head` (which ends with an empty line) asks, and how the request continues after it.

    `verdicts` say which fields pass. `lines`: its `splitlines()`, if they are at hand; used up. Raises Malformed for
    whatever two readers could read in two ways.
    """
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise Malformed("bad request line")
    method, target, minor = line.groups()
    if method == b"CONNECT":
        raise Malformed("CONNECT is not served here", 405)
    if lines is None:
        lines = head.splitlines()
    check_lines(head, lines)
    asked = Asked(head, method, target, verdicts, http11=minor == b"1")
    if target[0] != 0x2F or not target.isascii():
        _make_plain(asked, line.end())
        lines = asked.head.splitlines()
    asked._read(lines)
    return asked


def _make_plain(asked: Asked, fields: int) -> None:
    method, target, rest = asked.method, asked.target, asked.head[fields:]
    if target[:1] != b"/" and not (target == b"*" and method == b"OPTIONS"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise Malformed("bad request target")
        # §3.2.2: the authority of an absolute target wins over Host. With one truth left, nobody behind us can
        # read another.
        target = absolute[2] or (b"*" if method == b"OPTIONS" else b"/")
        if target[:1] == b"?":
            target = b"/" + target
        rest = _HOST_LINE.sub(lambda host: host[1] + b" " + absolute[1], b"\r\n" + rest)[2:]
    shown = target
    if not target.isascii():
        shown = b"".join(b"%%%02X" % byte if byte > 0x7F else bytes([byte]) for byte in target)
    version = b" HTTP/1.1\r\n" if asked.http11 else b" HTTP/1.0\r\n"
    asked.target = target
    asked.head = method + b" " + target + version + rest
    asked.shown = method + b" " + shown + version + rest
