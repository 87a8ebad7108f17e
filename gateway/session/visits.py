"""Visits: an operator at a user's Machine, for a reason, for some minutes, seen and ended by the user.

A visit is a session of its own kind: it stands in the browser's session cookie, is told from memory like any other and
cut like any other. It is never the user: whoever it leads to is told the operator's name.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from gateway.session.identity import Identity, SignInUnavailable
from gateway.session.records import in_words
from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.store.database import queries

MOST_MINUTES: Final = 60
OPEN_WITHIN: Final = timedelta(minutes=5)
"""For which a link is good."""
LOOK_S: Final = 1.0
WRITE_EVERY_S: Final = 30.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit, as the user and operators may see it."""

    id: UUID
    user_id: UserId
    operator: str
    reason: str
    minutes: int
    granted_at: datetime
    open_until: datetime
    opened_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """An open visit as the memory of sessions keeps it. Never refreshed: nothing at Supabase stands behind it."""

    id_hash: bytes
    identity: Identity
    expires_at: datetime

    @property
    def issued_at(self) -> datetime:
        return self.expires_at

    @property
    def access_expires_at(self) -> datetime:
        return self.expires_at


class DoorClosed(Exception):
    """The user wants no visits."""


class Visits:
    """The table of visits. Used from one event loop; calls may raise SignInUnavailable."""

    def __init__(self, pool: Any, clock: Clock) -> None:
        """`pool` stays the caller's to close."""
        self._pool, self._clock = pool, clock
        self._sql = queries("visits")
        self._ends: dict[bytes, datetime] = {}

    async def grant(self, user_id: UserId, *, operator: str, reason: str, minutes: int) -> tuple[str, Visit]:
        """A visit that may be opened once within OPEN_WITHIN: its ticket, shown here alone. Raises DoorClosed."""
        ticket, now = secrets.token_urlsafe(32), self._clock.now()
        async with in_words():
            row = await self._sql.grant_visit(
                self._pool,
                user_id=user_id,
                operator=operator,
                reason=reason,
                minutes=minutes,
                ticket_hash=_hash(ticket),
                now=now,
                open_until=now + OPEN_WITHIN,
            )
        if row is None:
            raise DoorClosed
        return ticket, _visit(row)

    async def of_ticket(self, ticket: str) -> tuple[Visit, str] | None:
        """The visit that this ticket would open, and the user's address. Opens nothing."""
        async with in_words():
            row = await self._sql.visit_of_ticket(self._pool, ticket_hash=_hash(ticket), now=self._clock.now())
        return None if row is None else (_visit(row), row["email"])

    async def open(self, ticket: str, id_hash: bytes) -> Visit | None:
        """Begin it as the session with this hash. None: the ticket is good no more."""
        async with in_words():
            row = await self._sql.open_visit(
                self._pool, ticket_hash=_hash(ticket), id_hash=id_hash, now=self._clock.now()
            )
        return None if row is None else _visit(row)

    async def read(self, id_hash: bytes) -> Opened | None:
        """The open visit behind a session's hash."""
        async with in_words():
            row = await self._sql.visit_of_session(self._pool, id_hash=id_hash, now=self._clock.now())
        if row is None:
            return None
        self._ends[id_hash] = row["expires_at"]
        identity = Identity(
            user_id=UserId(row["user_id"]),
            email=row["email"],
            supabase_session_id=None,
            session=id_hash,
            expires_at=row["expires_at"],
            operator=row["operator"],
        )
        return Opened(id_hash, identity, row["expires_at"])

    async def end(
        self, *, by: str, id: UUID | None = None, id_hash: bytes | None = None, user_id: UserId | None = None
    ) -> Sequence[Visit]:
        """End those that fit; every replica cuts what they opened. What ended now."""
        async with in_words():
            rows = self._sql.end_visits(
                self._pool, id=id, id_hash=id_hash, user_id=user_id, now=self._clock.now(), by=by
            )
            return [_visit(row) async for row in rows]

    async def all(self, user_id: UserId | None = None, *, most: int = 50) -> Sequence[Visit]:
        """The latest first; of one user, or of everybody."""
        async with in_words():
            return [_visit(row) async for row in self._sql.visits(self._pool, user_id=user_id, most=most)]

    async def is_closed(self, user_id: UserId) -> bool:
        """Whether this user wants no visits."""
        async with in_words():
            return bool(await self._sql.door_is_closed(self._pool, user_id=user_id))

    async def close_door(self, user_id: UserId) -> None:
        """No more visits, and an end to the one that is."""
        async with in_words():
            await self._sql.close_door(self._pool, user_id=user_id, now=self._clock.now())
        await self.end(user_id=user_id, by=str(user_id))

    async def open_door(self, user_id: UserId) -> None:
        async with in_words():
            await self._sql.open_door(self._pool, user_id=user_id)

    def due(self, now: datetime) -> list[bytes]:
        """Sessions of visits known here whose time is over; told once."""
        due = [id_hash for id_hash, at in self._ends.items() if now >= at]
        for id_hash in due:
            del self._ends[id_hash]
        return due

    async def write_ends(self) -> None:
        """Write down which visits their time has ended."""
        try:
            async with in_words():
                await self._sql.end_overdue_visits(self._pool, now=self._clock.now())
        except SignInUnavailable as away:
            log.warning("visit_ends_not_written", error=away.cause)


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()


def _visit(row: Mapping[str, Any]) -> Visit:
    return Visit(**{name: row[name] for name in Visit.__dataclass_fields__})
