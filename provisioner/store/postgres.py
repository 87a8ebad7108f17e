"""The whole store: every part of `ports.Store`, over one pool."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from provisioner.audit import Trail
from provisioner.awake import Record
from provisioner.clock import Clock
from provisioner.instance import State, UserId
from provisioner.ports import Change, Store
from provisioner.store.awake import KeptAwake
from provisioner.store.changes import Announcements
from provisioner.store.instances import Instances
from provisioner.store.journal import Journal
from provisioner.store.leases import Leases
from provisioner.store.queue import Queue

_STATES: Final = {state.value: state for state in State}


class PostgresStore(Instances, Leases, Queue, Journal, KeptAwake):
    """`ports.Store`, `audit.Trail` and `awake.Vigils` on Postgres.

    `pool` comes from `database.connect`; `announced` is of the same database. All times in the rows are `clock`'s.
    """

    def __init__(self, pool: Any, clock: Clock, *, announced: Announcements) -> None:
        super().__init__(pool, clock)
        self._announced = announced

    async def changes(self) -> AsyncGenerator[Change | None, None]:
        """See `ports.Store`. The first item is None: from then on nothing is missed unsaid."""
        async with aclosing(self._announced.hear("instance_changed")) as words:
            async for word in words:
                yield None if word is None else _change(word)


def _change(word: str) -> Change:
    user_id, _, state = word.partition(" ")
    return Change(UserId(UUID(user_id)), _STATES.get(state))


if TYPE_CHECKING:

    def _is_a_store(store: PostgresStore) -> tuple[Store, Trail, Record]:
        return store, store, store
