"""`/v1/rollout`: bringing a new golden image to everybody, and back."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field

from gateway.admin.ask import Refused
from gateway.admin.contract import Ask, Body, Call, Operation, Operations, Shown, Text
from gateway.errors import Answer
from provisioner.images import Rollout, RolloutState, Tally
from provisioner.rollout import STEPS, BadRollout, NoRollout, Rollouts, RolloutUnderWay

BAD: Final = Answer(400, "Bad rollout", "The detail says what makes no sense; nothing was changed.")
UNDER_WAY: Final = Answer(409, "A rollout is under way", "There is an open one: end it, or go back, first.")
NONE: Final = Answer(
    409, "No such rollout", "There is none to which this could be done; the detail says how it stands."
)
SOAK_MOST_S: Final = 30 * 86_400.0

Order = Literal["pause", "resume", "back"]


class RolloutShown(Shown):
    """Bringing one image to everybody."""

    id: UUID
    state: RolloutState
    image: str
    former_image: str = Field(description="What new Machines were of when it began.")
    percent: int = Field(description="How many of a hundred users may be moved now.")
    steps: list[int]
    tolerance: float = Field(description="The share of failed moves beyond which it halts by itself.")
    soak_s: float = Field(description="How long a step lasts at least.")
    hurry: bool = Field(description="Suspended Machines are moved too, and lose their memory.")
    started_by: str
    why: str = Field(description="Why it is in this state.")
    created_at: datetime
    state_since: datetime
    step_since: datetime

    @classmethod
    def of(cls, rollout: Rollout) -> "RolloutShown":
        return cls(
            id=rollout.id,
            state=rollout.state,
            image=rollout.image,
            former_image=rollout.base_image,
            percent=rollout.percent,
            steps=list(rollout.steps),
            tolerance=rollout.tolerance,
            soak_s=rollout.soak.total_seconds(),
            hurry=rollout.hurry,
            started_by=rollout.actor,
            why=rollout.why,
            created_at=rollout.created_at,
            state_since=rollout.state_since,
            step_since=rollout.step_since,
        )


class TallyShown(Shown):
    """Its Instances by what became of them."""

    ready: int = Field(description="Came up on the new image.")
    failed: int = Field(description="Did not, and are back on the former one.")
    moved: int = Field(description="Moved, and not started since.")
    cohort: int = Field(description="May be moved now, moved or not.")
    left: int = Field(description="Of these, not moved yet; of one that returns, still on the new image.")

    @classmethod
    def of(cls, tally: Tally) -> "TallyShown":
        return cls.model_validate(tally)


class RolloutStatusShown(Shown):
    """The newest rollout, and how it goes; both null if there never was one."""

    rollout: RolloutShown | None
    tally: TallyShown | None


class NewRollout(Body):
    image: Text = Field(min_length=1, max_length=500, description="Best pinned by digest: `…@sha256:…`.")
    steps: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        list(STEPS), min_length=1, max_length=100, description="Percents of all users, rising to 100."
    )
    tolerance: float = Field(0.1, ge=0, le=1, description="The share of failed moves beyond which it halts.")
    soak_s: float = Field(600, ge=0, le=SOAK_MOST_S, description="How long each step lasts at least.")
    hurry: bool = Field(False, description="Move suspended Machines too: they lose their memory, not their disk.")


class AskOrder(Ask):
    order: Order


class RolloutDesk:
    """Handlers of `/v1/rollout`."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/rollout",
                name="showRollout",
                summary="The newest rollout of a golden image, and how it goes.",
                run=self.status,
                ask=Ask,
                gives=RolloutStatusShown,
            ),
            Operation(
                method="POST",
                path="/v1/rollout",
                name="startRollout",
                summary="Begin to bring an image to everybody, to the first of the steps now.",
                run=self.start,
                ask=Ask,
                body=NewRollout,
                gives=RolloutShown,
                status=201,
                refuses=(BAD, UNDER_WAY),
            ),
            Operation(
                method="POST",
                path="/v1/rollout/{order}",
                name="orderRollout",
                summary="Pause it, resume a paused or halted one, or bring everybody back to the image they had.",
                run=self.order,
                ask=AskOrder,
                gives=RolloutShown,
                refuses=(NONE,),
            ),
        )

    async def status(self, _: Call[Ask, None]) -> RolloutStatusShown:
        status = await self._rollouts.status()
        if status is None:
            return RolloutStatusShown(rollout=None, tally=None)
        return RolloutStatusShown(rollout=RolloutShown.of(status.rollout), tally=TallyShown.of(status.tally))

    async def start(self, call: Call[Ask, NewRollout]) -> RolloutShown:
        asked = call.body
        try:
            rollout = await self._rollouts.start(
                asked.image,
                actor=call.caller.actor,
                steps=asked.steps,
                tolerance=asked.tolerance,
                soak=timedelta(seconds=asked.soak_s),
                hurry=asked.hurry,
            )
        except BadRollout as bad:
            raise Refused(replace(BAD, words=str(bad))) from None
        except RolloutUnderWay:
            raise Refused(UNDER_WAY) from None
        return RolloutShown.of(rollout)

    async def order(self, call: Call[AskOrder, None]) -> RolloutShown:
        orders = {"pause": self._rollouts.pause, "resume": self._rollouts.resume, "back": self._rollouts.back}
        try:
            return RolloutShown.of(await orders[call.ask.order](actor=call.caller.actor))
        except NoRollout as none:
            raise Refused(replace(NONE, words=str(none))) from None
