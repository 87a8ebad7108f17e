"""Small answers of the Guard's own."""

import json
from dataclasses import dataclass
from http import HTTPStatus

Field = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, body and all."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    fields: tuple[Field, ...] = ()

    def encode(self, *, head_only: bool, keep_alive: bool) -> bytes:
        """The answer as it goes over the wire; `head_only`: without its body."""
        lines = [
            b"HTTP/1.1 %d %b" % (self.status, HTTPStatus(self.status).phrase.encode()),
            b"Content-Type: " + self.content_type,
            b"Content-Length: %d" % len(self.body),
            b"Cache-Control: no-store",
            *(b"%b: %b" % field for field in self.fields),
        ]
        if not keep_alive:
            lines.append(b"Connection: close")
        return b"\r\n".join([*lines, b"", b"" if head_only else self.body])


def problem(status: int, detail: str, *fields: Field, retry_after: int | None = None) -> Answer:
    """An answer in the words of RFC 9457. `retry_after` is in seconds."""
    title = HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
    if retry_after is not None:
        fields = (*fields, (b"Retry-After", b"%d" % retry_after))
    return Answer(status, body.encode(), b"application/problem+json", fields)
