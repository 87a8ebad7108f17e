"""What an operator asked for, read; and why it cannot be had."""

from collections.abc import Callable
from typing import Final, TypeVar

from aiohttp import web

from gateway.errors import Answer

PAGE_MOST: Final = 1000

T = TypeVar("T")
D = TypeVar("D")


class Refused(Exception):
    """The answer is no, and this one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.title)
        self.answer = answer


def query(request: web.Request, name: str, parse: Callable[[str], T], default: D) -> T | D:
    """The query's value of `name`. Raises Refused if `parse` raises ValueError."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        return parse(text)
    except ValueError:
        raise Refused(Answer(400, f"Bad {name}", f"`{name}` cannot be read.")) from None
