"""Who has which plan: changed by a command, and followed by every replica."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Protocol

import structlog

from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.plans import Plan, Plans

log = structlog.get_logger(__name__)


class Subscriptions(Protocol):
    """The table `user_subscriptions`, as far as plans go."""

    async def plans_in_force(self) -> Mapping[UserId, str]:
        """Everybody whose plan counts now and is not the free one."""

    async def plan_in_force(self, user_id: UserId) -> str | None:
        """The name of this user's plan; None: the free one."""

    async def set_plan(self, user_id: UserId, plan: str, *, actor: str) -> str:
        """From now on this plan is in force, with its audit row `plan` in the same transaction. The plan before.

        To the plan that is in force already nothing is written. What a payment provider is told is not ours.
        """

    def plan_changes(self) -> AsyncGenerator[UserId | None, None]:
        """Every user whose subscription changed, from any replica, until closed. None: some may have been missed."""


async def change_plan(
    subscriptions: Subscriptions, plans: Plans, user_id: UserId, plan: str, *, actor: str
) -> tuple[Plan, Plan]:
    """Give the user that plan; (before, now). Limits follow at once on every replica, the Machine's size at its next
    sleep; a volume grows and never shrinks.

    Raises NoSuchPlan before anything is written.
    """
    wanted = plans.named(plan)
    before = plans.named(await subscriptions.set_plan(user_id, wanted.name, actor=actor))
    plans.in_force(user_id, wanted.name)
    if before != wanted:
        log.info("plan_changed", user_id=str(user_id), actor=actor, before=before.name, now=wanted.name)
    return before, wanted


async def load(subscriptions: Subscriptions, plans: Plans) -> None:
    """Read everybody's plan now: a replica knows it before it answers anybody."""
    plans.all_in_force(await subscriptions.plans_in_force())


async def follow(subscriptions: Subscriptions, plans: Plans, clock: Clock) -> None:
    """Keep `plans` true until cancelled. While the database is away the last answer holds."""
    async with aclosing(subscriptions.plan_changes()) as changes:
        async for user_id in changes:
            while True:
                try:
                    if user_id is None:
                        await load(subscriptions, plans)
                    else:
                        plans.in_force(user_id, await subscriptions.plan_in_force(user_id))
                    break
                except Exception as fault:
                    log.warning("plans_not_read", error=repr(fault))
                    await clock.sleep(1.0 + clock.jitter())
