"""What a handler may decide: answer by itself, or let the request pass."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from golden.guard.relay.head import Field, RequestHead, field_lines
from golden.guard.relay.upstream import Link


@dataclass(frozen=True, slots=True)
class Answer:
    """A small answer of our own, body and all."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    fields: tuple[Field, ...] = ()

    def encode(self, *, method: bytes, keep_alive: bool) -> bytes:
        """The answer as it goes over the wire; to HEAD without its body."""
        fields = [
            (b"Content-Type", self.content_type),
            (b"Content-Length", b"%d" % len(self.body)),
            (b"Cache-Control", b"no-store"),
            *self.fields,
        ]
        if not keep_alive:
            fields.append((b"Connection", b"close"))
        line = b"HTTP/1.1 %d %b\r\n" % (self.status, HTTPStatus(self.status).phrase.encode())
        return line + field_lines(fields) + b"\r\n" + (b"" if method == b"HEAD" else self.body)


def problem(status: int, detail: str, *fields: Field, retry_after: int | None = None) -> Answer:
    """An answer in the words of RFC 9457. `retry_after` is in seconds."""
    title = HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
    if retry_after is not None:
        fields = (*fields, (b"Retry-After", b"%d" % retry_after))
    return Answer(status, body.encode(), b"application/problem+json", fields)


@dataclass(frozen=True, slots=True)
class Passage:
    """Let the request pass to `link`, with `fields` in place of its own."""

    link: Link
    fields: list[Field]


class Handler(Protocol):
    """Decides about a request from its head alone. Must not block."""

    def __call__(self, request: RequestHead) -> Answer | Passage: ...
