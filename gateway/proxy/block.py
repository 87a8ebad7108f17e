"""The header lines of a request: read once, strictly, and kept for as long as clients send the same again.

What a browser says of itself, its cookies among it, is most of a head and changes less often than what it asks for. So
lines that came twice are not read a third time. References are to RFC 9112.
"""

import re
from typing import TYPE_CHECKING, Final

from gateway.proxy.fields import (
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
from gateway.proxy.heads import DIGITS

if TYPE_CHECKING:
    from gateway.proxy.passage import Passage

_PLAIN_HOST: Final = re.compile(rb"[0-9A-Za-z.\-_:\[\]]+").fullmatch
_NEVER_NAMED: Final = frozenset({b"host", b"content-length"})
_NOTHING: Final[frozenset[bytes]] = frozenset()
_NO_VALUES: Final[dict[bytes, list[bytes]]] = {}
_KEPT_MOST: Final = 1024
_KEPT_BYTES: Final = 4096


class Block:
    """All that is said behind the request line. Not to be changed: many requests may share it."""

    __slots__ = (
        "_kept", "_named", "_passage", "_ready", "_values", "authorization", "cookie", "expects", "fields", "host",
        "keep_alive", "length", "plain", "shared", "upgrades", "upgrading",
    )  # fmt: skip

    def __init__(self) -> None:
        self._kept: list[bytes] = []  # lines that pass, Cookies not among them
        self._named = _NOTHING  # fields that Connection nominates
        self._passage: Passage | None = None
        self._ready = b""  # for that passage
        self._values: dict[bytes, list[bytes]] = _NO_VALUES
        self.shared = False
        """More requests with the same lines will come, it seems: what is made of it is kept."""
        self.fields = 0
        """Number of lines."""
        self.length = 0
        """Bytes of body to come, or CHUNKED."""
        self.cookie = b""
        """Value of the Cookie line; several are joined, as an edge that speaks HTTP/2 may have split them."""
        self.host = b""
        self.authorization = False
        """An Authorization line passes."""
        self.expects = False
        """The client waits for `100 Continue`."""
        self.upgrading = self.upgrades = False
        """Any upgrade is mentioned; and it is one to a WebSocket, if the method is GET."""
        self.keep_alive = True
        self.plain = False
        """Nothing about it is unusual: HTTP/1.1, one Host, no Expect, nothing nominated."""

    def values(self, name: bytes, head: bytes) -> list[bytes]:
        """What `head`, of which this is read, says under a lower-case `name`, passed on or not."""
        found = self._values.get(name)
        if found is None:
            found = _values(name, head)
            if self.shared:
                self._values = {**self._values, name: found}
        return found

    def for_machine(self, passage: "Passage", upgrade: bool) -> bytes:
        """The lines for the Machine, empty line included. `upgrade`: to a WebSocket."""
        if self._passage is passage:
            return self._ready
        lines, named = self._kept.copy(), self._named
        if self.authorization and passage.drop_authorization:
            lines = [line for line in lines if line.partition(b":")[0].lower() != b"authorization"]
        if named:
            lines = [line for line in lines if line.partition(b":")[0].lower() not in named]
        if self.cookie and b"cookie" not in named and (cookie := passage.cleaned(self.cookie)):
            lines.append(b"Cookie: " + cookie)
        if upgrade:
            lines.append(b"Connection: Upgrade\r\nUpgrade: websocket")
        elif self.length == CHUNKED:
            lines.append(b"Transfer-Encoding: chunked")
        if self.expects:
            lines.append(b"Expect: 100-continue")
        lines.append(passage.lines + b"\r\n")
        ready = b"\r\n".join(lines)
        if self.shared:
            self._passage, self._ready = passage, ready
        return ready

    def read(self, lines: list[bytes], verdicts: Verdicts, *, http11: bool) -> None:
        """Judge every field once. A folded line is none, for its name begins with a space."""
        self.fields = len(lines)
        keep, usual = self._kept.append, verdicts.usual
        said = _NOTHING
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
                verdicts.passes(line)
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
                if coded or not http11 or value.strip(b" \t").lower() != b"chunked":
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
            if hosts or http11:
                raise Malformed("not exactly one Host")
            keep(b"Host:")  # §3.2: HTTP/1.1 has one, if an empty one
        self.expects = self.expects and http11 and self.length != 0
        if said:
            self.keep_alive = b"close" not in said and (http11 or b"keep-alive" in said)
            self._named -= _NEVER_NAMED
        else:
            self.keep_alive = http11
        if upgrade:
            self.upgrading = True
            self.upgrades = upgrade == b"websocket" and b"upgrade" in said and http11 and self.length == 0
        self.plain = http11 and not (odd or self._named) and _PLAIN_HOST(self.host) is not None


def _values(name: bytes, head: bytes) -> list[bytes]:
    mark, found = b"\r\n" + name + b":", []
    low = head.lower()
    at = low.find(mark)
    while at >= 0:
        start = at + len(mark)
        at = head.index(b"\r\n", start)
        found.append(head[start:at].strip(b" \t"))
        at = low.find(mark, at)
    return found


NO_BLOCK: Final = Block()
"""Of a request whose head nobody needs any more."""


class Blocks(dict[bytes, Block]):
    """Those of HTTP/1.1 requests that came again, by their bytes, last line end included; the oldest go first.

    Only what was met twice is kept: many a head comes once. `forget` from time to time: cookies are among them.
    """

    def __init__(self, verdicts: Verdicts) -> None:
        super().__init__()
        self._verdicts = verdicts
        self._met: set[int] = set()

    def judge(self, raw: bytes, lines: list[bytes], *, http11: bool) -> Block:
        """What `lines` say, which are those of `raw`, the empty one left out. Raises Malformed."""
        block = Block()
        block.read(lines, self._verdicts, http11=http11)
        if http11 and not block.upgrading and len(raw) <= _KEPT_BYTES:
            self._meet(raw, block)
        return block

    def forget(self) -> None:
        """Keep nothing of what came so far."""
        self.clear()
        self._met.clear()

    def _meet(self, raw: bytes, block: Block) -> None:
        met, mark = self._met, hash(raw)
        if mark in met:
            if len(self) >= _KEPT_MOST:
                del self[next(iter(self))]
            self[raw] = block
            block.shared = True
        else:
            if len(met) >= 4 * _KEPT_MOST:
                met.clear()
            met.add(mark)
