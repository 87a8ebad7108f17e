"""The user's side of operators' visits: who, when, why, until; end one; want none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.pages.account import VisitRow, ago, ahead
from gateway.session.identity import Identity
from gateway.session.visits import Visit, Visits
from provisioner.clock import Clock

SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Visitors:
    """Each call may raise SignInUnavailable: then nothing was done."""

    visits: Visits
    clock: Clock

    async def rows(self, who: Identity) -> Sequence[VisitRow]:
        now = self.clock.now()
        return [visit_row(each, now) for each in await self.visits.all(who.user_id, most=SHOWN)]

    async def is_closed(self, who: Identity) -> bool:
        return await self.visits.is_closed(who.user_id)

    async def end(self, who: Identity, ref: str) -> bool:
        """End one of the visits to this user. Whether there was one."""
        try:
            visit_id = UUID(ref)
        except ValueError:
            return False
        return bool(await self.visits.end(id=visit_id, user_id=who.user_id, by=str(who.user_id)))

    async def allow(self, who: Identity) -> None:
        await self.visits.open_door(who.user_id)

    async def forbid(self, who: Identity) -> None:
        await self.visits.close_door(who.user_id)


def visit_row(visit: Visit, now: datetime) -> VisitRow:
    """One visit in words."""
    until = visit.expires_at or visit.open_until
    live = visit.ended_at is None and now < until
    if visit.opened_at is None:
        when = "Asked for " + ago(visit.granted_at, now) + (", not opened yet" if live else ", never opened")
    else:
        ended = f"ends {ahead(until, now)}" if live else f"ended {ago(visit.ended_at or until, now)}"
        when = f"Opened {ago(visit.opened_at, now)}, for {visit.minutes} minutes at most, {ended}"
    return VisitRow(id=str(visit.id), operator=visit.operator, reason=visit.reason, when=when, live=live)
