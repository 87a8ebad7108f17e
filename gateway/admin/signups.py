"""Who waits to be let in, and the operator's word about it.

`admit` lets somebody in, also back in after a refusal or suspension; `refuse` keeps out who waits; `suspend` throws out
who is in: their sessions and tokens end, their Machine and data stay.
"""

from typing import Final, Literal, Protocol
from uuid import UUID

from pydantic import Field

from gateway.admin.ask import Refused
from gateway.admin.contract import Ask, Call, ForUser, Limit, Operation, Operations
from gateway.admin.shown import SignupShown, SignupsPage
from gateway.errors import Answer
from gateway.session.admissions import Signup, Standing
from provisioner.instance import UserId

VERDICTS: Final = {"admit": Standing.ADMITTED, "refuse": Standing.REFUSED, "suspend": Standing.SUSPENDED}
UNKNOWN: Final = Answer(404, "No such sign-up", "Nobody with this id has asked to come in.")


class Signups(Protocol):
    """The list, as far as an operator needs it."""

    async def page(self, *, status: Standing | None, after: UserId | None, limit: int) -> list[Signup]: ...

    async def decide(self, user_id: UserId, standing: Standing, *, by: str) -> Signup | None: ...


class AskSignups(Ask):
    status: Standing | None = Field(None, description="Only those of this standing.")
    after: UUID | None = Field(None, description="`next` of the page before.")
    limit: Limit = 100


class AskVerdict(ForUser):
    verdict: Literal["admit", "refuse", "suspend"]


class SignupDesk:
    """Handlers of `/v1/signups`."""

    def __init__(self, signups: Signups) -> None:
        self._signups = signups

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/signups",
                name="listSignups",
                summary="Who asked to come in, first come first.",
                run=self.page,
                ask=AskSignups,
                gives=SignupsPage,
            ),
            Operation(
                method="POST",
                path="/v1/signups/{user_id}/{verdict}",
                name="decideSignup",
                summary="Admit, refuse, or suspend who is in: their sessions end, their Machine and data stay.",
                run=self.decide,
                ask=AskVerdict,
                gives=SignupShown,
                refuses=(UNKNOWN,),
            ),
        )

    async def page(self, call: Call[AskSignups, None]) -> SignupsPage:
        ask = call.ask
        after = None if ask.after is None else UserId(ask.after)
        found = await self._signups.page(status=ask.status, after=after, limit=ask.limit)
        more = str(found[-1].user_id) if len(found) == ask.limit else None
        return SignupsPage(signups=[SignupShown.of(each) for each in found], next=more)

    async def decide(self, call: Call[AskVerdict, None]) -> SignupShown:
        decided = await self._signups.decide(call.ask.user, VERDICTS[call.ask.verdict], by=call.caller.actor)
        if decided is None:
            raise Refused(UNKNOWN)
        return SignupShown.of(decided)
