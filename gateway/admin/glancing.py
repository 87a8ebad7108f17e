"""`/v1/overview`, `/v1/needs`, `/v1/figures`, `/v1/replicas`, and the truths about one Instance."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from gateway.admin.contract import Ask, Call, ForUser, Operation, Operations, Shown
from gateway.admin.instances import NO_INSTANCE, InstanceDesk
from gateway.admin.shown import InstanceShown
from gateway.overview.book import RunTimes
from gateway.overview.glance import Overview
from gateway.overview.needs import Kind

TARGETS = {"provision": 10.0, "resume": 3.0, "start": 3.0}
"""Seconds that 95 of 100 shall need at most: the product's own promise."""


class RunsShown(Shown):
    """How long bring-ups of one path took, in seconds."""

    path: str
    bucket: datetime | None = Field(description="When this span began; null: the whole time.")
    n: int
    p50: float
    p95: float
    p99: float
    target_s: float | None = Field(None, description="What 95 of 100 shall need at most.")


class SpentShown(Shown):
    """US dollars since midnight UTC: an estimate from Fly's prices."""

    awake: float
    asleep: float
    volume: float
    total: float
    awake_hours: float
    users: int


class QueueDepth(Shown):
    waiting: int
    dead: int
    oldest: datetime | None


class OverviewShown(Shown):
    now: datetime
    users_now: int = Field(description="Whoever did something within five minutes.")
    states: dict[str, int]
    queue: QueueDepth
    runs: list[RunsShown] = Field(description="Of the last 24 hours.")
    today: SpentShown


class FixShown(Shown):
    """What mends it, as a call of this API."""

    label: str
    method: Literal["POST", "PUT", "DELETE"]
    path: str
    body: dict[str, Any] | None


class NeedShown(Shown):
    kind: Kind
    title: str
    cause: str
    since: datetime
    usd_per_day: float | None
    user_id: UUID | None
    email: str | None
    fix: FixShown | None
    doc: str | None = Field(description="Where to read on.")


class NeedsShown(Shown):
    needs: list[NeedShown]


class FailuresShown(Shown):
    action: str
    reason: str
    n: int


class FlyCallsShown(Shown):
    """Calls to Fly within one hour, each try for itself, counted over all replicas."""

    hour: datetime = Field(description="When it began.")
    ended: str = Field(description='"answered", or the class of the failure.')
    n: int


class FiguresShown(Shown):
    since: datetime
    until: datetime
    runs: list[RunsShown]
    failures: list[FailuresShown]
    fly: list[FlyCallsShown]
    queue: QueueDepth


class ReplicaShown(Shown):
    name: str
    version: str
    started_at: datetime
    seen_at: datetime
    loops: dict[str, str] = Field(
        description='Background work by name: "runs", or "ended", which it never should have.'
    )


class ReplicasShown(Shown):
    replicas: list[ReplicaShown]


class LeaseShown(Shown):
    owner: str | None
    fence: int
    until: datetime


class StepShown(Shown):
    name: str
    state: Literal["waiting", "running", "done", "failed"]
    took_s: float | None


class WorkShown(Shown):
    path: str
    attempt: int
    steps: list[StepShown]


class MachineShown(Shown):
    """A Machine as Fly describes it now."""

    id: str
    name: str
    state: str
    region: str
    version: str
    private_ip: str | None
    volume_id: str | None
    image: str
    host_ok: bool


class TruthsShown(Shown):
    """One Instance as the database, the replicas and Fly have it."""

    record: InstanceShown
    lease: LeaseShown | None = Field(description="Which replica works on it now.")
    work: WorkShown | None = Field(description="The bring-up that the replica which answers does.")
    machine: MachineShown | None
    fly_error: str | None = Field(description="Why Fly could not be asked.")
    differ: list[str] = Field(description="Where the record and Fly do not say the same.")


class AskFigures(Ask):
    hours: int = Field(24, ge=1, le=24 * 31, description="How far to look back.")


class GlanceDesk:
    """Handlers of what an operator looks at."""

    def __init__(self, overview: Overview, instances: InstanceDesk) -> None:
        self._overview, self._instances = overview, instances

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/overview",
                name="overview",
                summary="How things stand: users, states, times against their targets, costs of today.",
                run=self.overview,
                ask=Ask,
                gives=OverviewShown,
            ),
            Operation(
                method="GET",
                path="/v1/needs",
                name="needs",
                summary="What needs somebody, the most urgent first, each with a call that mends it.",
                run=self.needs,
                ask=Ask,
                gives=NeedsShown,
            ),
            Operation(
                method="GET",
                path="/v1/figures",
                name="figures",
                summary="Numbers over time, for charts.",
                run=self.figures,
                ask=AskFigures,
                gives=FiguresShown,
            ),
            Operation(
                method="GET",
                path="/v1/replicas",
                name="listReplicas",
                summary="Gateway processes that run, or ended without saying so.",
                run=self.replicas,
                ask=Ask,
                gives=ReplicasShown,
            ),
            Operation(
                method="GET",
                path="/v1/instances/{user_id}/truths",
                name="truths",
                summary="One Instance as the database, the replicas and Fly have it, and where they differ.",
                run=self.truths,
                ask=ForUser,
                gives=TruthsShown,
                refuses=(NO_INSTANCE,),
            ),
        )

    async def overview(self, _: Call[Ask, None]) -> OverviewShown:
        seen = await self._overview.glance()
        return OverviewShown(
            now=seen.now,
            users_now=seen.users_now,
            states=dict(seen.states),
            queue=QueueDepth.model_validate(seen.depth),
            runs=[_runs(each) for each in seen.runs],
            today=SpentShown.model_validate(seen.today),
        )

    async def needs(self, _: Call[Ask, None]) -> NeedsShown:
        return NeedsShown(needs=[NeedShown.model_validate(need) for need in await self._overview.needs()])

    async def figures(self, call: Call[AskFigures, None]) -> FiguresShown:
        seen = await self._overview.figures(timedelta(hours=call.ask.hours))
        return FiguresShown(
            since=seen.since,
            until=seen.until,
            runs=[_runs(each) for each in seen.runs],
            failures=[FailuresShown.model_validate(each) for each in seen.failures],
            fly=[FlyCallsShown.model_validate(each) for each in seen.fly],
            queue=QueueDepth.model_validate(seen.depth),
        )

    async def replicas(self, _: Call[Ask, None]) -> ReplicasShown:
        found = await self._overview.replicas()
        return ReplicasShown(replicas=[ReplicaShown.model_validate(each) for each in found])

    async def truths(self, call: Call[ForUser, None]) -> TruthsShown:
        seen = await self._overview.truths(await self._instances.found(call.ask.user))
        return TruthsShown(
            record=InstanceShown.of(seen.record),
            lease=None if seen.held is None else LeaseShown.model_validate(seen.held),
            work=None if seen.work is None else WorkShown.model_validate(seen.work),
            machine=None if seen.machine is None else MachineShown.model_validate(seen.machine),
            fly_error=seen.fly_error,
            differ=list(seen.differ),
        )


def _runs(each: RunTimes) -> RunsShown:
    return RunsShown.model_validate(each).model_copy(update={"target_s": TARGETS.get(each.path)})
