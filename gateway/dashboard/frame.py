"""What every page of a signed-in operator has around it: who they are, what they may do, what is held back."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from aiohttp import web
from pydantic import ValidationError

from gateway.admin.ask import Refused
from gateway.admin.contract import Ask
from gateway.admin.guard import CALLER
from gateway.admin.rules import allows
from gateway.admin.sessions import csrf_of, shown
from gateway.dashboard.drawing import Drawing
from gateway.dashboard.words import SWITCH_WORDS
from gateway.errors import Answer
from provisioner.clock import Clock
from provisioner.switches import SwitchRecords

A = TypeVar("A", bound=Ask)


class Room(Protocol):
    """Some of the dashboard's pages."""

    def routes(self) -> list[web.RouteDef]: ...


class Frame:
    """Draws a page for whoever asks. What a template shows as a button depends on `may(method, path)`."""

    def __init__(self, drawing: Drawing, switches: SwitchRecords, clock: Clock) -> None:
        self._drawing, self._switches, self.clock = drawing, switches, clock

    async def page(self, request: web.Request, template: str, here: str, **given: Any) -> web.Response:
        """`here`: which entry of the navigation is this."""
        cookie, caller = shown(request.headers.getall("Cookie", [])), request[CALLER]
        return self._drawing.page(
            template,
            here=here,
            now=self.clock.now(),
            caller=caller,
            may=partial(allows, caller.role),
            csrf=csrf_of(cookie) if cookie else "",
            words=SWITCH_WORDS,
            switches=await self._switches.positions(),
            **given,
        )


def given(request: web.Request, *names: str) -> dict[str, str]:
    """Of these parameters those that say something: a form also sends its empty fields."""
    return {name: text for name in names if (text := request.query.get(name, "").strip())}


def read(ask: type[A], given: Mapping[str, str]) -> A:
    """A page's parameters, read as the API reads its own. Raises Refused."""
    try:
        return ask.model_validate_strings(given)
    except ValidationError:
        raise Refused(Answer(400, "Cannot be read", "This address does not name a list. Begin anew.")) from None
