"""`/v1/instances/{user_id}/story` and `…/extend`: what kept an Instance awake, what comes next, and a say in it."""

from datetime import datetime
from typing import Protocol

from pydantic import Field

from gateway.admin.ask import Refused
from gateway.admin.contract import Body, Call, ForUser, Instant, Operation, Operations, Shown
from gateway.admin.instances import NO_INSTANCE
from provisioner.instance import State, UserId
from provisioner.timeline import Kind, Moment, Outlook, Story


class Keeper(Protocol):
    """`provisioner.awake`, as far as it is needed here."""

    async def extend(self, user_id: UserId, until: datetime, *, actor: str) -> datetime | None: ...
    async def story(self, user_id: UserId, *, limit: int = 50) -> Story | None: ...


class MomentShown(Shown):
    """One thing that happened."""

    at: datetime
    kind: Kind
    text: str
    actor: str
    until: datetime | None = Field(description="For what lasts: until when.")
    took_s: float | None = Field(description="For a wake or a making: seconds until it was ready.")

    @classmethod
    def of(cls, moment: Moment) -> "MomentShown":
        return cls.model_validate(moment)


class FlapShown(Shown):
    naps: int = Field(description="Short sleeps lately, each ended by a wake.")
    factor: int = Field(description="So many times as long as usual it is left awake meanwhile.")


class OutlookShown(Shown):
    """How it stands now, and what comes next if nothing happens."""

    state: State
    sleeps_at: datetime | None = Field(description="When it is due to be suspended; past while something keeps it.")
    stops_at: datetime | None = Field(description="Of a suspended one: when its memory is given up.")
    kept_awake_by: str | None
    keep_awake_until: datetime | None = Field(description="What somebody asked for, while it lasts.")
    may_extend_until: datetime = Field(description="The latest that may be asked for now: the plan's cap.")
    flapping: FlapShown | None

    @classmethod
    def of(cls, outlook: Outlook) -> "OutlookShown":
        return cls.model_validate(outlook)


class StoryShown(Shown):
    moments: list[MomentShown] = Field(description="Newest first.")
    outlook: OutlookShown


class Extended(Shown):
    holds_until: datetime = Field(description="How long it really holds: at most the plan's cap.")


class AskStory(ForUser):
    limit: int = Field(50, ge=1, le=250, description="Moments, at most.")


class NewEnd(Body):
    until: Instant = Field(description="ISO 8601 with its time zone. One that has passed takes back what was asked.")


class StoryDesk:
    """Handlers of an Instance's story."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/instances/{user_id}/story",
                name="instanceStory",
                summary="Who woke it, what kept it awake, why it was put to sleep, and what comes next. Wakes nothing.",
                run=self.story,
                ask=AskStory,
                gives=StoryShown,
                refuses=(NO_INSTANCE,),
            ),
            Operation(
                method="POST",
                path="/v1/instances/{user_id}/extend",
                name="extendInstance",
                summary="Leave it awake until then, however quiet it is. Who sleeps stays asleep.",
                run=self.extend,
                ask=ForUser,
                body=NewEnd,
                gives=Extended,
                refuses=(NO_INSTANCE,),
            ),
        )

    async def story(self, call: Call[AskStory, None]) -> StoryShown:
        story = await self._keeper.story(call.ask.user, limit=call.ask.limit)
        if story is None:
            raise Refused(NO_INSTANCE)
        moments = [MomentShown.of(each) for each in story.moments]
        return StoryShown(moments=moments, outlook=OutlookShown.of(story.outlook))

    async def extend(self, call: Call[ForUser, NewEnd]) -> Extended:
        holds = await self._keeper.extend(call.ask.user, call.body.until, actor=call.caller.actor)
        if holds is None:
            raise Refused(NO_INSTANCE)
        return Extended(holds_until=holds)
