"""Operators and what was done: the admin API's handlers about people rather than Machines."""

from typing import Final
from uuid import UUID

from pydantic import Field

from gateway.admin.ask import Refused
from gateway.admin.contract import Ask, Body, Call, Instant, Limit, Operation, Operations, Row, Text
from gateway.admin.guard import BOOTSTRAP
from gateway.admin.shown import AuditPage, EntryShown, OperatorMade, OperatorShown, OperatorsShown
from gateway.errors import Answer
from provisioner.audit import Trail
from provisioner.instance import UserId
from provisioner.operators import NameTaken, Operators, Role, hash_of, new_token

NAME_TAKEN: Final = Answer(409, "Name taken", "Somebody has or had this name; names are never given away again.")
NO_OPERATOR: Final = Answer(404, "No such operator", "Nobody of this name is on record.")


class AskAudit(Ask):
    user: UUID | None = Field(None, description="Only what is about this user.")
    since: Instant | None = Field(None, description="Only from this instant on, ISO 8601 with its time zone.")
    before: Row | None = Field(None, description="`next` of the page before: only rows with a smaller number.")
    limit: Limit = 100


class AskOperator(Ask):
    name: Text = Field(description="The operator's name.", max_length=200)


class NewOperator(Body):
    name: str = Field(pattern=r"^[a-z][a-z0-9._-]{0,39}$", description="Lower case letters, digits, `.`, `_`, `-`.")
    role: Role


class People:
    """Handlers of `/v1/operators` and `/v1/audit`."""

    def __init__(self, operators: Operators, trail: Trail) -> None:
        self._operators, self._trail = operators, trail

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/audit",
                name="readAudit",
                summary="What was done and by whom, newest first.",
                run=self.audit,
                ask=AskAudit,
                gives=AuditPage,
            ),
            Operation(
                method="GET",
                path="/v1/operators",
                name="listOperators",
                summary="Everybody who may or might operate, by name.",
                run=self.operators,
                ask=Ask,
                gives=OperatorsShown,
            ),
            Operation(
                method="POST",
                path="/v1/operators",
                name="addOperator",
                summary="A new operator; the answer shows their token, once.",
                run=self.enlist,
                ask=Ask,
                body=NewOperator,
                gives=OperatorMade,
                status=201,
                refuses=(NAME_TAKEN,),
            ),
            Operation(
                method="DELETE",
                path="/v1/operators/{name}",
                name="revokeOperator",
                summary="This operator's token opens nothing from now on.",
                run=self.revoke,
                ask=AskOperator,
                gives=OperatorShown,
                refuses=(NO_OPERATOR,),
            ),
        )

    async def operators(self, _: Call[Ask, None]) -> OperatorsShown:
        return OperatorsShown(operators=[OperatorShown.of(each) for each in await self._operators.all()])

    async def enlist(self, call: Call[Ask, NewOperator]) -> OperatorMade:
        told = call.body
        if told.name == BOOTSTRAP.name:
            raise Refused(NAME_TAKEN)
        token = new_token()
        try:
            made = await self._operators.add(told.name, told.role, hash_of(token))
        except NameTaken:
            raise Refused(NAME_TAKEN) from None
        return OperatorMade(**OperatorShown.of(made).model_dump(), token=token)

    async def revoke(self, call: Call[AskOperator, None]) -> OperatorShown:
        gone = await self._operators.revoke(call.ask.name)
        if gone is None:
            raise Refused(NO_OPERATOR)
        return OperatorShown.of(gone)

    async def audit(self, call: Call[AskAudit, None]) -> AuditPage:
        ask = call.ask
        entries = await self._trail.latest_audit(
            user_id=None if ask.user is None else UserId(ask.user), since=ask.since, before=ask.before, limit=ask.limit
        )
        more = entries[-1].id if len(entries) == ask.limit else None
        return AuditPage(entries=[EntryShown.of(each) for each in entries], next=more)
