"""A request's head: read once, strictly, and written again for the Machine.

Every lane uses this one reading, so that no two of them can disagree about where a request ends or whose it is.
References are to RFC 9112.
"""

import re
from typing import TYPE_CHECKING, Final

from gateway.proxy.block import NO_BLOCK, Block, Blocks
from gateway.proxy.fields import ASKED
from gateway.proxy.framing import Malformed
from gateway.proxy.heads import check_lines

if TYPE_CHECKING:
    from gateway.proxy.errors import UpstreamError
    from gateway.proxy.passage import Passage

_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP/1\.([01])\r\n")
_PLAIN_LINE: Final = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-~]*) HTTP/1\.1\r\n")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@\\]+)([/?].*)?", re.IGNORECASE)
_HOST_LINE: Final = re.compile(rb"(\r\nhost:)[^\r]*", re.IGNORECASE)
_FRAMING_LINE: Final = re.compile(rb"\r\n(?:content-length|transfer-encoding)[^\r]*", re.IGNORECASE)
_KNOWN: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_REPLAYABLE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Asked:
    """One request's head, and what it says about how it may be answered."""

    __slots__ = (
        "_block", "added", "authorization", "cookie", "expects", "fault", "fields", "head", "head_only", "host",
        "http11", "keep_alive", "length", "method", "plain", "shown", "target", "upgrade",
    )  # fmt: skip

    def __init__(self, head: bytes, method: bytes, target: bytes, block: Block, *, http11: bool = True) -> None:
        self._block = block
        self.head = self.shown = head
        """As it came, empty line included, but with the target in origin-form and a Host that agrees with it.

        `shown` is the same, spelled for a parser that knows only ASCII targets.
        """
        self.method, self.target = method, target
        self.http11 = http11
        self.head_only = method == b"HEAD"
        self.length = block.length
        """Bytes of body to come, or CHUNKED."""
        self.fields = block.fields
        """Number of header lines that came."""
        self.cookie = block.cookie
        """Value of the Cookie line; several are joined."""
        self.host = block.host
        self.authorization = block.authorization
        """An Authorization line is among those that pass."""
        self.expects = block.expects
        self.upgrade = block.upgrades and method == b"GET"
        """A WebSocket is wanted."""
        self.keep_alive = block.keep_alive
        self.plain = block.plain and self.upgrade == block.upgrading and method in _KNOWN
        """Nothing about it is unusual: origin-form, HTTP/1.1, a common method, no Expect, nothing nominated."""
        self.added = b""
        """A line of ours for the head of the answer, without its CRLF."""
        self.fault: UpstreamError | None = None
        """What another lane met with when it tried to have this request answered."""

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
        return self._block.values(name, self.head)

    def for_machine(self, passage: "Passage") -> bytes:
        """The head for the Machine, empty line included."""
        return b"%b %b HTTP/1.1\r\n%b" % (self.method, self.target, self._block.for_machine(passage, self.upgrade))

    def forget(self) -> None:
        """Let go of the head, once nothing can be asked of it any more: a WebSocket may live for days."""
        self.head = self.shown = self.cookie = b""
        self._block = NO_BLOCK


def known_request(head: bytes, blocks: Blocks) -> Asked | None:
    """What `head` asks, if its header lines are ones that were read before, and its first line is a plain one.

    `head` ends with an empty line, and has no other: this is not looked for again.
    """
    line = _PLAIN_LINE.match(head)
    if line is None:
        return None
    block = blocks.get(head[line.end() :])
    return None if block is None else Asked(head, line[1], line[2], block)


def read_request(head: bytes, blocks: Blocks | None = None, lines: list[bytes] | None = None) -> Asked:
    """What `head` (which ends with an empty line) asks, and how the request continues after it.

    `blocks` know which fields pass. `lines`: its `splitlines()`, if they are at hand; used up. Raises Malformed for
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
    if blocks is None:
        blocks = Blocks(ASKED)
    at, http11 = line.end(), minor == b"1"
    if target[0] == 0x2F and target.isascii():
        del lines[0], lines[-1]
        return Asked(head, method, target, blocks.judge(head[at:], lines, http11=http11), http11=http11)
    target, rest = _in_origin_form(method, target, head[at:])
    asked = Asked(head, method, target, blocks.judge(rest, rest.splitlines()[:-1], http11=http11), http11=http11)
    shown = target
    if not target.isascii():
        shown = b"".join(b"%%%02X" % byte if byte > 0x7F else bytes([byte]) for byte in target)
    version = b" HTTP/1.1\r\n" if http11 else b" HTTP/1.0\r\n"
    asked.head = method + b" " + target + version + rest
    asked.shown = method + b" " + shown + version + rest
    asked.plain = False
    return asked


def _in_origin_form(method: bytes, target: bytes, rest: bytes) -> tuple[bytes, bytes]:
    """Target and header lines, with an absolute target's authority as Host."""
    if target[:1] == b"/" or (target == b"*" and method == b"OPTIONS"):
        return target, rest
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("bad request target")
    # §3.2.2: the authority of an absolute target wins over Host. With one truth left, nobody behind us can
    # read another.
    target = absolute[2] or (b"*" if method == b"OPTIONS" else b"/")
    if target[:1] == b"?":
        target = b"/" + target
    return target, _HOST_LINE.sub(lambda host: host[1] + b" " + absolute[1], b"\r\n" + rest)[2:]
