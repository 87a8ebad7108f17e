"""Subscriptions in Postgres, as far as plans go."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.store.changes import Announcements
from provisioner.store.database import Tables, queries
from provisioner.subscriptions import Subscriptions

_queries: Final = queries("plans")


class SubscriptionTable(Tables):
    """`provisioner.subscriptions.Subscriptions`, whose docstrings hold here."""

    def __init__(self, pool: Any, clock: Clock, *, announced: Announcements) -> None:
        super().__init__(pool, clock)
        self._announced = announced

    async def plans_in_force(self) -> Mapping[UserId, str]:
        return {UserId(row["user_id"]): row["plan"] async for row in _queries.plans_in_force(self._pool)}

    async def plan_in_force(self, user_id: UserId) -> str | None:
        plan: str | None = await _queries.plan_in_force(self._pool, user_id=user_id)
        return plan

    async def set_plan(self, user_id: UserId, plan: str, *, actor: str) -> str:
        was: str = await _queries.set_plan(self._pool, user_id=user_id, plan=plan, actor=actor, now=self._clock.now())
        return was

    async def plan_changes(self) -> AsyncGenerator[UserId | None, None]:
        async with aclosing(self._announced.hear("plan_changed")) as words:
            async for word in words:
                yield None if word is None else UserId(UUID(word))


if TYPE_CHECKING:

    def _are_subscriptions(table: SubscriptionTable) -> Subscriptions:
        return table
