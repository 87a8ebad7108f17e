"""What one replica remembers of sessions. Decides by the instants it is given; does nothing else.

A session id is 256 random bits and is never used again, so "this one ended" may be remembered for good. That is also
what keeps a read that was under way during a sign-out from bringing the session back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cachetools import LRUCache

from gateway.session.identity import Identity, Reason

GONE_REMEMBERED: Final = 10_000


class Remembered(Protocol):
    """What is needed of a session to keep it in mind."""

    @property
    def id_hash(self) -> bytes: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def issued_at(self) -> datetime: ...
    @property
    def access_expires_at(self) -> datetime: ...
    @property
    def expires_at(self) -> datetime: ...


@dataclass(slots=True)
class _Known:
    identity: Identity
    refresh_at: datetime
    until: datetime  # may be told from memory until here
    grace_until: datetime  # and, while nobody can be asked, until here


class Memory:
    """Bounded. Used from one event loop."""

    def __init__(self, *, size: int, refresh_before: timedelta, grace: timedelta) -> None:
        self._refresh_before, self._grace = refresh_before, grace
        self._known: LRUCache[bytes, _Known] = LRUCache(maxsize=size)
        self._gone: LRUCache[bytes, Reason] = LRUCache(maxsize=GONE_REMEMBERED)
        self._seen: dict[bytes, datetime] = {}
        self.epoch = 0
        """Grows when everything is dropped: what was read before may be outdated."""

    def told(self, id_hash: bytes, now: datetime) -> Identity | None:
        """The session, if it may be told from memory; it counts as seen."""
        known = self._known.get(id_hash)
        if known is None or now >= known.until:
            return None
        self._seen[id_hash] = now
        return known.identity

    def knows(self, id_hash: bytes) -> bool:
        """Whether there is something to go on with, should nobody answer."""
        return id_hash in self._known

    def due(self, id_hash: bytes, now: datetime) -> bool:
        """Whether it is time to refresh the session."""
        known = self._known.get(id_hash)
        return known is not None and now >= known.refresh_at

    def gone(self, id_hash: bytes) -> Reason | None:
        """Why the session ended, if it is known to have."""
        return self._gone.get(id_hash)

    def remember(self, record: Remembered, now: datetime, *, epoch: int) -> None:
        """Keep a row that was read during `epoch`; left out if it may be outdated by now."""
        if epoch != self.epoch or record.id_hash in self._gone:
            return
        self._known[record.id_hash] = _Known(
            identity=record.identity,
            refresh_at=refresh_at(record, self._refresh_before),
            until=min(record.access_expires_at, record.expires_at),
            grace_until=min(record.access_expires_at + self._grace, record.expires_at),
        )
        self._seen[record.id_hash] = now

    def postpone(self, id_hash: bytes, now: datetime, wait: timedelta) -> Identity | None:
        """Nobody can be asked about the session: go on with what is known for `wait`, as far as the grace reaches."""
        known = self._known.get(id_hash)
        if known is None:
            return None
        known.refresh_at = now + wait
        if now >= known.grace_until:
            return None
        known.until = max(known.until, min(now + wait, known.grace_until))
        return known.identity

    def end(self, id_hash: bytes, reason: Reason) -> None:
        """The session is over, for good."""
        self._known.pop(id_hash, None)
        self._seen.pop(id_hash, None)
        self._gone[id_hash] = reason

    def drop_all(self) -> None:
        """Ends may have been missed: read every session anew."""
        self.epoch += 1
        self._known.clear()

    def take_seen(self, id_hash: bytes | None = None) -> dict[bytes, datetime]:
        """When sessions were last used, since this was last asked: of one, or of all."""
        if id_hash is not None:
            at = self._seen.pop(id_hash, None)
            return {id_hash: at} if at is not None else {}
        seen, self._seen = self._seen, {}
        return seen

    def put_back(self, seen: dict[bytes, datetime]) -> None:
        """They could not be written; try again with the next batch."""
        self._seen = seen | self._seen


def refresh_at(record: Remembered, before: timedelta) -> datetime:
    """When to renew the access token: `before` its end, or in its last quarter if it is that short-lived."""
    lifetime = record.access_expires_at - record.issued_at
    return record.access_expires_at - min(before, lifetime / 4)
