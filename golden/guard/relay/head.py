"""Reads request and answer heads, strictly.

A head is judged by one regular expression over its raw bytes, not by a lenient parser with a second
check behind it: what two parsers read differently is how one user's bytes become another's request.
Possessive quantifiers (`*+`) keep matching linear. References are to RFC 9112 and RFC 9110.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from golden.guard.relay.errors import Malformed

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a head, first line included. More is answered 431."""

Field = tuple[bytes, bytes]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]*+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e\x80-\xff]++) HTTP/1\.([01])\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (" + _TEXT + rb"))?\r\n")
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb":" + _TEXT + rb"\r\n)*+\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*+(" + _TEXT + rb")\r\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")

_HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer"
    b" transfer-encoding upgrade".split()
)
# Nominating these in Connection must not make a request lose its framing or its target.
_NEVER_NOMINATED: Final = frozenset((b"host", b"content-length"))
_WATCHED: Final = frozenset((b"host", b"content-length", b"expect"))  # read by us, and passed on


class Framing(Enum):
    """How the end of a body is found."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


@dataclass(slots=True)
class RequestHead:
    """A request without its body. `fields` are end-to-end only, in order, names as written."""

    method: bytes
    target: bytes
    minor: int
    fields: list[Field]
    framing: Framing
    length: int
    keep_alive: bool
    websocket: bool
    """Asks to become a WebSocket: a GET without body that upgrades to `websocket`."""


@dataclass(slots=True)
class AnswerHead:
    """An answer without its body. `fields` are end-to-end only, in order, names as written."""

    status: int
    reason: bytes
    fields: list[Field]
    framing: Framing
    length: int
    keep_alive: bool
    websocket: bool


def head_end(data: bytes) -> int:
    """Where the head in `data` ends, its blank line included; -1 if more must be read.

    Raises:
        Malformed: longer than HEAD_LIMIT (431), or a line ended by a bare LF (400).
    """
    end = data.find(b"\r\n\r\n", 0, HEAD_LIMIT) + 4
    if end > 3:
        return end
    if len(data) >= HEAD_LIMIT:
        raise Malformed("The head is too large.", status=431)
    if _BARE_LF.search(data):  # else the sender would wait for us, and we for the sender
        raise Malformed("A line ends with a bare LF.")
    return -1


def parse_request(head: bytes) -> RequestHead:
    """The request whose head is `head`, blank line included.

    Raises:
        Malformed: not exactly HTTP/1.x, or framing that two readers could read differently.
    """
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise Malformed("The request line is not HTTP/1.1.")
    method, target, minor = line[1], line[2], int(line[3])
    if not target.startswith(b"/") and (method, target) != (b"OPTIONS", b"*"):
        raise Malformed("The target is not an absolute path.")
    fields, notable = _sort(_fields(head, line.end()))
    hosts = notable.get(b"host", ())
    if len(hosts) > 1 or (minor and not hosts):
        raise Malformed("Exactly one Host is needed.")
    framing, length = _framing(notable)
    if framing is Framing.CHUNKED and not minor:
        raise Malformed("Transfer-Encoding does not exist in HTTP/1.0.")
    if framing is Framing.CLOSE:
        framing = Framing.NONE
    options = _connection_options(notable)
    if not minor:
        options.add(b"expect")  # RFC 9110 §10.1.1: an HTTP/1.0 client does not wait for 100
    return RequestHead(
        method,
        target,
        minor,
        _without(fields, options),
        framing,
        length,
        keep_alive=bool(minor) and b"close" not in options,
        websocket=method == b"GET" and framing is Framing.NONE and bool(minor) and _upgrades(notable, options),
    )


def parse_answer(head: bytes, method: bytes) -> AnswerHead:
    """The answer to a `method` request whose head is `head`, blank line included.

    Raises:
        Malformed: not exactly HTTP/1.x, or framing that two readers could read differently.
    """
    line = _STATUS_LINE.match(head)
    if line is None:
        raise Malformed("The status line is not HTTP/1.1.")
    minor, status = int(line[1]), int(line[2])
    fields, notable = _sort(_fields(head, line.end()))
    framing, length = _framing(notable)
    options = _connection_options(notable)
    if status < 200 or status == 204:
        framing = Framing.NONE
        options.add(b"content-length")  # RFC 9110 §8.6: has no business here
    elif method == b"HEAD" or status == 304:
        framing = Framing.NONE
    return AnswerHead(
        status,
        line[3] or b"",
        _without(fields, options),
        framing,
        length,
        keep_alive=bool(minor) and b"close" not in options and framing is not Framing.CLOSE,
        websocket=status == 101 and _upgrades(notable, options),
    )


def field_lines(fields: list[Field]) -> bytes:
    """`fields` as they go over the wire, without the blank line."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def _fields(head: bytes, start: int) -> list[Field]:
    if not _FIELDS.fullmatch(head, start):
        raise Malformed("A header field is malformed.")
    return _FIELD.findall(head, start)


def _sort(found: list[Field]) -> tuple[list[Field], dict[bytes, list[bytes]]]:
    """The fields that pass on, and by lower-case name the values of those that mean something to us."""
    plain: list[Field] = []
    notable: dict[bytes, list[bytes]] = {}
    for field in found:
        name = field[0].lower()
        if name in _HOP_BY_HOP:
            notable.setdefault(name, []).append(field[1].rstrip(b" \t"))
            continue
        if name in _WATCHED:
            notable.setdefault(name, []).append(field[1].rstrip(b" \t"))
        plain.append(field)
    return plain, notable


def _framing(notable: dict[bytes, list[bytes]]) -> tuple[Framing, int]:
    """How the body ends (RFC 9112 §6.3), refusing all that a laxer reader might read otherwise."""
    codings, lengths = notable.get(b"transfer-encoding"), notable.get(b"content-length")
    if codings:
        if lengths:
            raise Malformed("Both Content-Length and Transfer-Encoding.")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Malformed("Transfer-Encoding is not exactly chunked.")
        return Framing.CHUNKED, 0
    if lengths:
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise Malformed("Content-Length is not one number.")
        length = int(lengths[0])
        return (Framing.LENGTH, length) if length else (Framing.NONE, 0)
    return Framing.CLOSE, 0


def _connection_options(notable: dict[bytes, list[bytes]]) -> set[bytes]:
    return {
        option.strip(b" \t").lower() for value in notable.get(b"connection", ()) for option in value.split(b",")
    } - _NEVER_NOMINATED


def _upgrades(notable: dict[bytes, list[bytes]], options: set[bytes]) -> bool:
    protocols = notable.get(b"upgrade", ())
    return b"upgrade" in options and len(protocols) == 1 and protocols[0].lower() == b"websocket"


def _without(fields: list[Field], options: set[bytes]) -> list[Field]:
    """Drop what `Connection` nominates (RFC 9110 §7.6.1); nearly always there is nothing to drop."""
    if options <= {b"keep-alive", b"close", b"upgrade", b""}:
        return fields
    return [field for field in fields if field[0].lower() not in options]
