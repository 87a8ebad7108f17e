"""The audit log as a chain: each row's hash stands on the one before, so that a change anywhere is found.

What it proves: nobody altered, removed or inserted a row behind the database's back without computing every later hash
anew. Whoever owns the database can do just that; against them, note a `Head` elsewhere now and then and ask for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Protocol

from provisioner.instance import UserId

GENESIS: Final = bytes(32)
"""What the first row of all stands on."""
PRUNED: Final = "audit_pruned"
"""Action of the row that retention leaves; its detail says up to which row, and that row's hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the log. `detail` is JSON as the database spells it: the hash is over that text."""

    id: int
    at: datetime
    actor: str
    action: str
    user_id: UserId | None = None
    from_state: str | None = None
    to_state: str | None = None
    detail: str = "{}"
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Head:
    """A row's number and hash: everything up to it follows from this."""

    id: int
    hash: bytes


class Broken(Exception):
    """The chain does not hold. `id` is the first row that shows it."""

    def __init__(self, id: int, why: str) -> None:
        super().__init__(f"row {id}: {why}")
        self.id, self.why = id, why


def link(previous: bytes, entry: Entry) -> bytes:
    """The hash that `entry` has to have behind a row with the hash `previous`. As gateway.audit_link in sql/."""
    fields = (
        str(entry.id),
        entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
        entry.actor,
        entry.action,
        None if entry.user_id is None else str(entry.user_id),
        entry.from_state,
        entry.to_state,
        entry.detail,
    )
    # Each with its length before it, so that no two rows are written alike; "-" is null.
    text = "".join("-" if field is None else f"{len(field.encode())}:{field}" for field in fields)
    return sha256(previous + text.encode()).digest()


class Walk:
    """Goes along the chain from `start`, which is trusted. `head` is how far it holds."""

    def __init__(self, start: Head = Head(0, GENESIS), *, known: Iterable[Head] = ()) -> None:
        """`known` are heads that were noted earlier: the rows must still have these hashes."""
        self.head = start
        self._known = {head.id: head.hash for head in known}

    def follow(self, entries: Iterable[Entry]) -> None:
        """Go on along `entries`, which come next. Raises Broken at the first that does not belong there."""
        for entry in entries:
            if entry.id != self.head.id + 1:
                raise Broken(self.head.id + 1, f"missing; the next one there is {entry.id}")
            if link(self.head.hash, entry) != entry.hash:
                raise Broken(entry.id, "its hash is not that of its content behind the row before")
            if self._known.get(entry.id, entry.hash) != entry.hash:
                raise Broken(entry.id, "its hash is not the one that was noted earlier")
            self.head = Head(entry.id, entry.hash)

    def end(self, head: Head) -> None:
        """The last row has to be `head`. Raises Broken if the log was cut short or goes on unrecorded."""
        if head != self.head:
            raise Broken(self.head.id + 1, f"the log ends at row {self.head.id}, and row {head.id} was its last")
        for id in self._known:
            if id > head.id:
                raise Broken(id, "missing; it was noted earlier")


class Trail(Protocol):
    """The log for those who do something without a step of an Instance's life, and for those who read it."""

    async def append_audit(
        self, actor: str, action: str, user_id: UserId | None, detail: Mapping[str, object] | None = None
    ) -> None:
        """Write down what is done. Steps of an Instance write their own rows."""

    async def latest_audit(
        self,
        *,
        user_id: UserId | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]:
        """The newest rows first: about one user, not older than `since`, with a number below `before`."""
