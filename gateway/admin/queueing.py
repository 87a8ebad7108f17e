"""`/v1/queue`, `/v1/pool` and plans: who waits for a Machine, who was given up, what is spare, what a user may have."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import Field

from gateway.admin.ask import Refused
from gateway.admin.contract import Ask, Body, Call, ForUser, Instant, Limit, Operation, Operations, Shown, Text
from gateway.errors import Answer
from provisioner.instance import UserId
from provisioner.plans import NoSuchPlan, Plan, Plans
from provisioner.pool import PoolStatus
from provisioner.ports import Waiting
from provisioner.queue import QueueDesk
from provisioner.subscriptions import Subscriptions, change_plan

NOT_QUEUED: Final = Answer(404, "Not queued", "This user is not in the queue.")
NO_PLAN: Final = Answer(404, "No such plan", "There is no plan of this name; `/v1/plans` has them all.")


class QueuedShown(Shown):
    """A provisioning that failed."""

    user_id: UUID
    email: str
    dead: bool = Field(description="Nobody tries it any more.")
    attempts: int
    next_retry_at: datetime
    place: int | None = Field(description="Among all that wait, from 1; null for one that was given up.")
    words: str = Field(description="What its user reads.")
    cause: str | None = Field(description="What went wrong, in Fly's own words.")

    @classmethod
    def of(cls, waiting: Waiting) -> "QueuedShown":
        return cls(
            user_id=waiting.user_id,
            email=waiting.email,
            dead=waiting.dead,
            attempts=waiting.attempts,
            next_retry_at=waiting.next_retry_at,
            place=waiting.place,
            words=waiting.error,
            cause=waiting.cause,
        )


class QueuePage(Shown):
    queue: list[QueuedShown]
    next: str | None = Field(description="The `after` of the following page; null at the end.")


class PoolShown(Shown):
    """Spare Machines, made ahead of first visits."""

    enabled: bool
    target: int
    states: dict[str, int]
    images: dict[str, int] = Field(description="Those that are ready, by image.")
    arrivals_per_hour: int
    usd_per_month: float = Field(description="What the present spares cost if they wait for a month.")

    @classmethod
    def of(cls, status: PoolStatus) -> "PoolShown":
        return cls.model_validate(status)


class PlanShown(Shown):
    name: str
    usd_per_month: int
    cpus: int
    cpu_kind: str
    memory_mb: int
    volume_gb: int
    suspend_after_s: float
    stop_after_s: float
    awake_cap_s: float

    @classmethod
    def of(cls, plan: Plan) -> "PlanShown":
        return cls(
            name=plan.name,
            usd_per_month=plan.usd_per_month,
            cpus=plan.guest.cpus,
            cpu_kind=plan.guest.cpu_kind,
            memory_mb=plan.guest.memory_mb,
            volume_gb=plan.volume_gb,
            suspend_after_s=plan.suspend_after.total_seconds(),
            stop_after_s=plan.stop_after.total_seconds(),
            awake_cap_s=plan.awake_cap.total_seconds(),
        )


class PlansShown(Shown):
    plans: list[PlanShown]


class PlanChanged(Shown):
    before: PlanShown
    now: PlanShown


class AskQueue(Ask):
    dead: bool | None = Field(None, description="Only those that were given up, or only those that wait.")
    after: UUID | None = Field(None, description="`next` of the page before.")
    limit: Limit = 100


class NewTime(Body):
    at: Instant = Field(description="When to try next, ISO 8601 with its time zone.")


class NewPlan(Body):
    plan: Text = Field(min_length=1, max_length=40)


class QueueingDesk:
    """Handlers of `/v1/queue`, `/v1/pool`, `/v1/plans` and a user's plan."""

    def __init__(
        self,
        queue: QueueDesk,
        pool: Callable[[], Awaitable[PoolStatus]],
        subscriptions: Subscriptions,
        plans: Plans,
    ) -> None:
        """`pool` tells how the pool stands."""
        self._queue, self._pool, self._subscriptions, self._plans = queue, pool, subscriptions, plans

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/queue",
                name="listQueue",
                summary="Provisionings that failed, in order of user id.",
                run=self.page,
                ask=AskQueue,
                gives=QueuePage,
            ),
            Operation(
                method="POST",
                path="/v1/queue/{user_id}/retry",
                name="retryQueued",
                summary="Begin its next attempt now, given up or not, with all tries before it again.",
                run=self.retry,
                ask=ForUser,
                gives=QueuedShown,
                status=202,
                refuses=(NOT_QUEUED,),
            ),
            Operation(
                method="PATCH",
                path="/v1/queue/{user_id}",
                name="rescheduleQueued",
                summary="Try it next at this time; one that was given up gets one more try.",
                run=self.reschedule,
                ask=ForUser,
                body=NewTime,
                gives=QueuedShown,
                refuses=(NOT_QUEUED,),
            ),
            Operation(
                method="DELETE",
                path="/v1/queue/{user_id}",
                name="dropQueued",
                summary="Nobody tries it any more until the user comes again.",
                run=self.drop,
                ask=ForUser,
                status=204,
                refuses=(NOT_QUEUED,),
            ),
            Operation(
                method="GET",
                path="/v1/pool",
                name="showPool",
                summary="Spare Machines: how many there are and should be, and what they cost.",
                run=self.pool,
                ask=Ask,
                gives=PoolShown,
            ),
            Operation(
                method="GET",
                path="/v1/plans",
                name="listPlans",
                summary="Every plan that is offered.",
                run=self.plans,
                ask=Ask,
                gives=PlansShown,
            ),
            Operation(
                method="PUT",
                path="/v1/users/{user_id}/plan",
                name="setPlan",
                summary="Give the user that plan: limits at once, the Machine's size at its next sleep.",
                run=self.plan,
                ask=ForUser,
                body=NewPlan,
                gives=PlanChanged,
                refuses=(NO_PLAN,),
            ),
        )

    async def page(self, call: Call[AskQueue, None]) -> QueuePage:
        ask = call.ask
        after = None if ask.after is None else UserId(ask.after)
        found = await self._queue.page(dead=ask.dead, after=after, limit=ask.limit)
        more = str(found[-1].user_id) if len(found) == ask.limit else None
        return QueuePage(queue=[QueuedShown.of(each) for each in found], next=more)

    async def retry(self, call: Call[ForUser, None]) -> QueuedShown:
        return _queued(await self._queue.retry_now(call.ask.user, actor=call.caller.actor))

    async def reschedule(self, call: Call[ForUser, NewTime]) -> QueuedShown:
        return _queued(await self._queue.reschedule(call.ask.user, at=call.body.at, actor=call.caller.actor))

    async def drop(self, call: Call[ForUser, None]) -> None:
        if not await self._queue.drop(call.ask.user, actor=call.caller.actor):
            raise Refused(NOT_QUEUED)

    async def pool(self, _: Call[Ask, None]) -> PoolShown:
        return PoolShown.of(await self._pool())

    async def plans(self, _: Call[Ask, None]) -> PlansShown:
        return PlansShown(plans=[PlanShown.of(each) for each in self._plans.all()])

    async def plan(self, call: Call[ForUser, NewPlan]) -> PlanChanged:
        try:
            before, now = await change_plan(
                self._subscriptions, self._plans, call.ask.user, call.body.plan, actor=call.caller.actor
            )
        except NoSuchPlan:
            raise Refused(NO_PLAN) from None
        return PlanChanged(before=PlanShown.of(before), now=PlanShown.of(now))


def _queued(waiting: Waiting | None) -> QueuedShown:
    if waiting is None:
        raise Refused(NOT_QUEUED)
    return QueuedShown.of(waiting)
