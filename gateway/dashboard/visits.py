"""Operators at users' Machines: who, why, until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web

from gateway.admin.visits import Visits
from gateway.dashboard.frame import Frame
from gateway.overview.book import OverviewBook
from gateway.session.visits import MOST_MINUTES, Visit
from provisioner.instance import UserId

SHOWN: Final = 100
REASON_LEAST: Final = 10
"""Characters; as the API asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A visit and the address of whom it is to; None: they are gone."""

    visit: Visit
    email: str | None
    live: bool
    """It may still be ended."""
    until: datetime
    """When it ends or ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """The visits to one user. `closed`: they want none."""

    guests: Sequence[Guest]
    closed: bool
    minutes_most: int = MOST_MINUTES
    reason_least: int = REASON_LEAST


class Guests:
    """Reads visits together with whom they are to."""

    def __init__(self, visits: Visits, book: OverviewBook) -> None:
        self._visits, self._book = visits, book

    async def all(self, *, now: datetime) -> Sequence[Guest]:
        """The latest first, SHOWN at most."""
        visits = await self._visits.all(most=SHOWN)
        emails = await self._book.addresses({visit.user_id for visit in visits})
        return [guest(visit, emails.get(visit.user_id), now) for visit in visits]

    async def of(self, user_id: UserId, *, now: datetime) -> Visited:
        visits = await self._visits.all(user_id, most=SHOWN)
        return Visited(
            guests=[guest(visit, None, now) for visit in visits], closed=await self._visits.is_closed(user_id)
        )


class VisitPage:
    """`/visits`."""

    def __init__(self, frame: Frame, guests: Guests) -> None:
        self._frame, self._guests = frame, guests

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/visits", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        guests = await self._guests.all(now=self._frame.clock.now())
        return await self._frame.page(
            request,
            "visits.html",
            "/visits",
            running=[each for each in guests if each.live],
            past=[each for each in guests if not each.live],
            shown=SHOWN,
        )


def guest(visit: Visit, email: str | None, now: datetime) -> Guest:
    """One that was never opened ends with its link."""
    until = visit.expires_at or visit.open_until
    live = visit.ended_at is None and now < until
    return Guest(visit=visit, email=email, live=live, until=visit.ended_at or until)
