"""The account pages: plain, server-rendered, without script. Strict about who may frame, open or read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from gateway.pages.render import Page, Pages
from provisioner.instance import State

STATE_WORDS: Final = {
    State.ACTIVE: "on",
    State.DRAINING: "on",
    State.SUSPENDING: "going to sleep",
    State.SUSPENDED: "asleep",
    State.STOPPING: "going to sleep",
    State.STOPPED: "switched off",
    State.WAKING: "waking up",
    State.PROVISIONING: "being made",
    State.FAILED: "not made yet",
    State.DELETING: "being deleted",
}
NO_MACHINE: Final = "not made yet"
STRICTER: Final = MappingProxyType(
    {
        # Under no-referrer a browser sends `Origin: null` with a form, and every form here asks where it comes from.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every page of a signed-in user shows. `csrf` goes into each form."""

    email: str
    csrf: str
    app_url: str
    said: str | None = None
    """What was just done, in our words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session. `ref` names it in the form that ends it; `here` is the one that looks."""

    ref: str
    device: str
    address: str | None
    last_seen: str
    of_account: bool
    here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One personal access token."""

    id: str
    name: str
    scopes: str
    last_used: str
    ends: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitRow:
    """One visit of an operator. `live`: it may still be ended."""

    id: str
    operator: str
    reason: str
    when: str
    live: bool


class AccountPages:
    """Renders through `Pages`. Safe to share; a call does no I/O."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def sessions(self, frame: Frame, *, rows: Sequence[SessionRow]) -> Page:
        """`/sessions`: where I am signed in."""
        return self._page("sessions", frame, here="/sessions", rows=rows)

    def tokens(self, frame: Frame, *, rows: Sequence[TokenRow], new: str | None, days: Sequence[int]) -> Page:
        """`/tokens`. `new` is the text of one that was made just now: shown here and never again."""
        return self._page("tokens", frame, here="/tokens", rows=rows, new=new, days=days)

    def visits(self, frame: Frame, *, rows: Sequence[VisitRow], closed: bool) -> Page:
        """`/visits`: operators who opened my machine. `closed`: I want none."""
        return self._page("visits", frame, here="/visits", rows=rows, closed=closed)

    def data(self, frame: Frame, *, fresh: bool, wrong: str | None, keeps_login: bool) -> Page:
        """`/data`: take a copy of everything, or have it deleted. `fresh`: signed in a moment ago."""
        status = 400 if wrong else 200
        return self._page("data", frame, status, here="/data", fresh=fresh, wrong=wrong, keeps_login=keeps_login)

    def goodbye(self) -> Page:
        """After deleting, for nobody in particular any more."""
        return self._pages.still("account/goodbye.html", 200, STRICTER)

    def entrance(self, *, app_url: str, signed_out: bool) -> Page:
        """`/` for a stranger."""
        return self._pages.still("account/entrance.html", 200, STRICTER, app_url=app_url, signed_out=signed_out)

    def _page(self, name: str, frame: Frame, status: int = 200, **given: Any) -> Page:
        return self._pages.still(f"account/{name}.html", status, STRICTER, frame=frame, **given)


def ago(then: datetime, now: datetime) -> str:
    """`just now`, `5 minutes ago`, `3 days ago`."""
    return "just now" if (words := _span((now - then).total_seconds())) is None else f"{words} ago"


def ahead(then: datetime, now: datetime) -> str:
    """`in 5 minutes`, `in 3 days`."""
    return "in a moment" if (words := _span((then - now).total_seconds())) is None else f"in {words}"


def _span(seconds: float) -> str | None:
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return None
