"""A form that was sent to us, read once and in full: no file, nothing large, every name once."""

from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

MOST_BYTES: Final = 8192
MOST_FIELDS: Final = 20
KIND: Final = "application/x-www-form-urlencoded"


class BadForm(Exception):
    """Not one of our forms."""


async def read_form(request: web.BaseRequest) -> dict[str, list[str]]:
    """Values by name, in order. Raises BadForm."""
    length = request.content_length
    # Another page can send JSON or text without being asked; what our own forms send is this alone.
    if request.content_type != KIND or length is None or length > MOST_BYTES:
        raise BadForm("another kind of body, or too large")
    try:
        body = (await request.read()).decode("ascii")
        pairs = parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MOST_FIELDS)
    except ValueError as bad:
        raise BadForm("not as a browser writes it") from bad
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def one(form: dict[str, list[str]], name: str) -> str:
    """The value of `name`, "" if there is none. Raises BadForm if there are several."""
    values = form.get(name, [""])
    if len(values) != 1:
        raise BadForm(f"{name} several times")
    return values[0]
