"""Heads of messages, from bytes and to bytes, strictly, with everything that passes kept byte for byte."""

import re
from typing import Final

from gateway.proxy.fields import (
    ANSWERED,
    CODING,
    CONNECTION,
    LENGTH,
    SET_COOKIE,
    TYPE,
    UPGRADE,
    Cookies,
    options,
)
from gateway.proxy.framing import CHUNKED, Malformed

_PRINTABLE: Final = bytes([9, *range(32, 127), *range(128, 256)])
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP/1\.([01])\r\n")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@\\]+)([/?].*)?", re.IGNORECASE)
_HOST_LINE: Final = re.compile(rb"(\r\nhost:)[^\r]*", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: .*)?", re.DOTALL)


def check_lines(head: bytes) -> None:
    """Raise Malformed for NUL and other controls, bare CR or LF, or a folded line."""
    # Every control byte but TAB must be half of a CRLF: two passes at C speed instead of a look at each line.
    if len(head.translate(None, _PRINTABLE)) != 2 * head.count(b"\r\n"):
        raise Malformed("a control character or a bare line end")
    if b"\r\n " in head or b"\r\n\t" in head:
        raise Malformed("a folded header line")


class Asked:
    """A request head, framed but not yet read field by field."""

    __slots__ = ("head", "http10", "length", "method", "shown", "target")

    def __init__(self, head: bytes, method: bytes, target: bytes, *, http10: bool) -> None:
        self.head = head
        """As it came, empty line included, but with the target in origin-form and a Host that agrees with it."""
        self.shown = head
        """The same, spelled for a parser that knows only ASCII targets."""
        self.method, self.target = method, target
        self.http10 = http10
        self.length = 0
        """Bytes of body to come, or CHUNKED."""


def frame_request(head: bytes) -> Asked:
    """How the request continues after `head` (which ends with an empty line).

    Checks what decides about framing and routing, and trusts a strict parser behind it with the rest.
    Raises Malformed.
    """
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise Malformed("bad request line")
    method, target, minor = line.groups()
    if method == b"CONNECT":
        raise Malformed("CONNECT is not served here", 405)
    asked = Asked(head, method, target, http10=minor == b"0")
    if target[0] != 0x2F or not target.isascii():
        _make_plain(asked, line.end())
    low = head.lower()
    length, coding = low.find(b"\r\ncontent-length"), low.find(b"\r\ntransfer-encoding")
    if length >= 0 or coding >= 0:
        asked.length = _body_length(low, http10=asked.http10)
    return asked


def _make_plain(asked: Asked, fields: int) -> None:
    method, target, rest = asked.method, asked.target, asked.head[fields:]
    if target[:1] != b"/" and not (target == b"*" and method == b"OPTIONS"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise Malformed("bad request target")
        # RFC 9112 §3.2.2: the authority of an absolute target wins over Host. With one truth left, nobody
        # behind us can read another.
        target = absolute[2] or (b"*" if method == b"OPTIONS" else b"/")
        if target[:1] == b"?":
            target = b"/" + target
        rest = _HOST_LINE.sub(lambda host: host[1] + b" " + absolute[1], b"\r\n" + rest)[2:]
    shown = target
    if not target.isascii():
        shown = b"".join(b"%%%02X" % byte if byte > 0x7F else bytes([byte]) for byte in target)
    version = b" HTTP/1.0\r\n" if asked.http10 else b" HTTP/1.1\r\n"
    asked.target = target
    asked.head = method + b" " + target + version + rest
    asked.shown = method + b" " + shown + version + rest


def _body_length(low: bytes, *, http10: bool) -> int:
    lengths, codings = [], []
    for line in low.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            lengths.append(value.strip(b" \t"))
        elif name == b"transfer-encoding":
            codings.append(value.strip(b" \t"))
    if codings:
        if lengths or http10 or codings != [b"chunked"]:
            raise Malformed("bad Transfer-Encoding")
        return CHUNKED
    if not lengths:
        return 0
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise Malformed("bad Content-Length")
    return int(lengths[0])


class Answer:
    """The head of an answer: what passes, and how its body is framed."""

    __slots__ = ("closes", "events", "http10", "length", "lines", "status", "upgrade")

    def __init__(self, status: int, *, http10: bool) -> None:
        self.status = status
        self.http10 = http10
        self.lines: list[bytes] = []
        """Status line and fields to pass on, as they came."""
        self.length: int | None = None
        """Content-Length, or CHUNKED, or None: the body ends with the connection."""
        self.closes = http10
        """The upstream connection is of no use afterwards."""
        self.upgrade = b""
        self.events = False
        """An event stream."""


def parse_answer(head: bytes, ours: Cookies) -> Answer:
    """What `head` (without the empty line) says. `ours` are left out of what it sets.

    Raises Malformed for two framings at once, and whatever else two readers could read in two ways.
    """
    check_lines(head)
    lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(lines[0])
    if status is None:
        raise Malformed("bad status line")
    http10 = status[1] == b"0"
    answer = Answer(int(status[2]), http10=http10)
    keep = answer.lines.append
    keep(b"HTTP/1.1" + lines[0][8:] if http10 else lines[0])
    del lines[0]
    said: frozenset[bytes] = frozenset()
    named: frozenset[bytes] = frozenset()
    chunked = False
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise Malformed("a header line without a colon")
        kind = ANSWERED[name]
        if not kind:
            keep(line)
        elif kind == LENGTH:
            text = value.strip(b" \t")
            if answer.length is not None or _LENGTH.fullmatch(text) is None:
                raise Malformed("bad Content-Length")
            answer.length = int(text)
            keep(line)
        elif kind == TYPE:
            answer.events = value.strip(b" \t").lower().startswith(b"text/event-stream")
            keep(line)
        elif kind == CODING:
            if chunked or http10 or value.strip(b" \t").lower() != b"chunked":
                raise Malformed("bad Transfer-Encoding")
            chunked = True
        elif kind == SET_COOKIE:
            if not ours.refuses(value):
                keep(line)
        elif kind == CONNECTION:
            here, names = options(value)
            said, named = said | here, named | names
        elif kind == UPGRADE:
            answer.upgrade = value.strip(b" \t").lower()
    if chunked:
        if answer.length is not None:
            raise Malformed("Content-Length and Transfer-Encoding together")
        answer.length = CHUNKED
    if said:
        answer.closes = b"close" in said or (http10 and b"keep-alive" not in said)
    if named:
        answer.lines[1:] = [line for line in answer.lines[1:] if not _is_named(line, named)]
    return answer


def _is_named(line: bytes, named: frozenset[bytes]) -> bool:
    name = line.partition(b":")[0]
    return name.lower() in named and ANSWERED[name] != LENGTH
