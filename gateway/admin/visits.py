"""Opening a user's Machine as an operator: with a reason, for minutes, in front of the user's eyes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Protocol, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from gateway.admin.ask import Refused
from gateway.admin.contract import Ask, Body, Call, ForUser, Limit, Operation, Operations, Shown, no_nul
from gateway.admin.instances import NO_INSTANCE
from gateway.errors import Answer
from gateway.session.visits import MOST_MINUTES, DoorClosed, Visit
from provisioner.instance import Instance, State, UserId

CLOSED: Final = Answer(409, "The door is closed", "This user wants no visits. Ask them: they can change it.")
NO_VISIT: Final = Answer(404, "No such visit", "There is none of this id, or it has ended.")


Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=500), AfterValidator(no_nul)]


class Visits(Protocol):
    """`gateway.session.visits.Visits`, as far as operators need it."""

    async def grant(self, user_id: UserId, *, operator: str, reason: str, minutes: int) -> tuple[str, Visit]: ...
    async def end(self, *, by: str, id: UUID | None = None) -> Sequence[Visit]: ...
    async def all(self, user_id: UserId | None = None, *, most: int = 50) -> Sequence[Visit]: ...
    async def is_closed(self, user_id: UserId) -> bool: ...


class Instances(Protocol):
    async def find(self, user_id: UserId) -> Instance | None: ...


class VisitAsked(Body):
    reason: Reason = Field(description="Why. The user reads it.")
    minutes: int = Field(15, ge=1, le=MOST_MINUTES, description="For how long, from the opening on.")


class VisitShown(Shown):
    id: UUID
    user_id: UUID
    operator: str
    reason: str
    minutes: int
    granted_at: datetime
    open_until: datetime
    opened_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None

    @classmethod
    def of(cls, visit: Visit) -> Self:
        return cls.model_validate(visit)


class VisitGranted(VisitShown):
    url: str = Field("", description="Opens the visit, once, until `open_until`. It is told here and nowhere else.")


class VisitsPage(Shown):
    visits: list[VisitShown]


class AskVisits(Ask):
    user: UUID | None = Field(None, description="Only of this user.")
    limit: Limit = 50


class OneVisit(Ask):
    visit_id: UUID


class VisitDesk:
    """Handlers of `/v1/visits`."""

    def __init__(self, visits: Visits, instances: Instances, public_url: str) -> None:
        self._visits, self._instances, self._public_url = visits, instances, public_url

    def operations(self) -> Operations:
        return (
            Operation(
                method="POST",
                path="/v1/instances/{user_id}/visit",
                name="visitInstance",
                summary="A link that opens this user's Machine once, for minutes. The user sees it and may end it.",
                run=self.grant,
                ask=ForUser,
                body=VisitAsked,
                gives=VisitGranted,
                status=201,
                refuses=(NO_INSTANCE, CLOSED),
            ),
            Operation(
                method="GET",
                path="/v1/visits",
                name="listVisits",
                summary="Visits of operators, the latest first.",
                run=self.page,
                ask=AskVisits,
                gives=VisitsPage,
            ),
            Operation(
                method="DELETE",
                path="/v1/visits/{visit_id}",
                name="endVisit",
                summary="End a visit: what it opened is cut.",
                run=self.end,
                ask=OneVisit,
                gives=VisitShown,
                refuses=(NO_VISIT,),
            ),
        )

    async def grant(self, call: Call[ForUser, VisitAsked]) -> VisitGranted:
        instance = await self._instances.find(call.ask.user)
        if instance is None or instance.state is State.DELETING:
            raise Refused(NO_INSTANCE)
        try:
            ticket, visit = await self._visits.grant(
                call.ask.user, operator=call.caller.name, reason=call.body.reason, minutes=call.body.minutes
            )
        except DoorClosed:
            raise Refused(CLOSED) from None
        shown = VisitShown.of(visit).model_dump()
        return VisitGranted(**shown, url=f"{self._public_url}/auth/visit?ticket={ticket}")

    async def page(self, call: Call[AskVisits, None]) -> VisitsPage:
        user = None if call.ask.user is None else UserId(call.ask.user)
        return VisitsPage(visits=[VisitShown.of(each) for each in await self._visits.all(user, most=call.ask.limit)])

    async def end(self, call: Call[OneVisit, None]) -> VisitShown:
        ended = await self._visits.end(id=call.ask.visit_id, by=call.caller.actor)
        if not ended:
            raise Refused(NO_VISIT)
        return VisitShown.of(ended[0])
