"""What cannot be had from the admin API, as an answer."""

from typing import Final

from aiohttp import web

from gateway.errors import Answer

PAGE_MOST: Final = 1000
REFUSAL: Final[web.RequestKey[Answer]] = web.RequestKey("refusal", Answer)
"""What was refused, for whoever draws a page of it."""


class Refused(Exception):
    """The answer is no, and this one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.title)
        self.answer = answer
