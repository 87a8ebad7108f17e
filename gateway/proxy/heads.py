"""Heads of answers, and what holds for all heads: read strictly, with everything that passes kept byte for byte."""

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
DIGITS: Final = re.compile(rb"[0-9]{1,18}").fullmatch
"""Of a Content-Length that may be believed."""
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: .*)?", re.DOTALL)


def lines_of(head: bytes) -> list[bytes]:
    """The lines of a head, every one of which ends with CRLF. Raises Malformed for any other control but TAB."""
    lines = head.splitlines()
    check_lines(head, lines)
    return lines


def check_lines(head: bytes, lines: list[bytes]) -> None:
    """Raise Malformed unless `lines`, which are `head.splitlines()`, end with CRLF each and have no other controls."""
    # What is left without printable bytes must be one CRLF a line: three passes at C speed instead of a look at each
    # line. Both halves are needed: a bare CR and a bare LF further on also leave a CRLF, but are the ends of two lines.
    if head.translate(None, _PRINTABLE) != b"\r\n" * len(lines):
        raise Malformed("a control character or a bare line end")


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

    Raises Malformed for two framings at once, and whatever else two readers could read in two ways. A folded line is
    one: it is no field, for its name begins with a space.
    """
    lines = lines_of(head)
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
    usual = ANSWERED.usual
    for line in lines:
        if line in usual:
            keep(line)
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise Malformed("a header line without a colon")
        kind = ANSWERED[name]
        if not kind:
            keep(line)
            ANSWERED.passes(line)
        elif kind == LENGTH:
            text = value.strip(b" \t")
            if answer.length is not None or DIGITS(text) is None:
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
