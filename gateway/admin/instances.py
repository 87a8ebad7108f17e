"""Instances in the operator's hands. Actions answer when the state is reached, not when it was asked for."""

from collections.abc import Sequence
from typing import Final, Literal, Protocol
from uuid import UUID

from pydantic import Field

from gateway.admin.ask import Refused
from gateway.admin.contract import Ask, Call, ForUser, Limit, Operation, Operations, Text
from gateway.admin.shown import InstanceShown, InstancesPage
from gateway.errors import Answer
from provisioner.clock import Clock
from provisioner.instance import Instance, State, UserId
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.ports import Waiting

START_WITHIN_S: Final = 120.0
NO_INSTANCE: Final = Answer(404, "No such Instance", "This user has no Instance.")
BAD_AFTER: Final = Answer(400, "Bad after", "`after` has to be the `next` of an answer in the same order.")
MOVED: Final = Answer(409, "Somebody else moved it first", "Look again, and decide anew.", 1)
FLY: Final = Answer(502, "Fly", "Fly refused, or did not answer; its own words are in the detail.")
NOT_READY: Final = Answer(503, "Not ready", "It did not get ready in time; the work goes on where it can.", 2)
DELETED: Final = Answer(410, "Being deleted", "It is on its way out and cannot be started.")

Sort = Literal["user_id", "email", "state", "region", "last_active", "state_since", "created_at"]


class Records(Protocol):
    """The store, as far as this needs it."""

    async def find(self, user_id: UserId) -> Instance | None: ...
    async def waiting(self, user_id: UserId) -> Waiting | None: ...
    async def search(
        self,
        *,
        state: State | None,
        region: str | None,
        word: str | None,
        sort: str,
        descending: bool,
        after: tuple[str, UUID] | None,
        limit: int,
    ) -> Sequence[tuple[str, Instance]]: ...


class AskPage(Ask):
    state: State | None = Field(None, description="Only those in this state.")
    region: Text | None = Field(None, description="Only those in this region.", max_length=40)
    q: Text | None = Field(
        None,
        description="Part of the e-mail address, the beginning of the user id, or a whole Machine's name or id.",
        min_length=1,
        max_length=200,
    )
    sort: Sort = Field("user_id", description="What to order by.")
    desc: bool = Field(False, description="The largest, or latest, first.")
    after: Text | None = Field(None, description="`next` of the page before.", max_length=400)
    limit: Limit = 100


class AskAction(ForUser):
    action: Literal["start", "suspend", "stop", "restart"]


class InstanceDesk:
    """Handlers of `/v1/instances`."""

    def __init__(self, records: Records, lifecycle: Lifecycle, clock: Clock) -> None:
        self._records, self._lifecycle, self._clock = records, lifecycle, clock

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/instances",
                name="listInstances",
                summary="A page of Instances.",
                run=self.page,
                ask=AskPage,
                gives=InstancesPage,
            ),
            Operation(
                method="GET",
                path="/v1/instances/{user_id}",
                name="showInstance",
                summary="One Instance, with its place in the queue and the last error.",
                run=self.show,
                ask=ForUser,
                gives=InstanceShown,
                refuses=(NO_INSTANCE,),
            ),
            Operation(
                method="POST",
                path="/v1/instances/{user_id}/{action}",
                name="moveInstance",
                summary="Start, suspend, stop or restart: an order, for which open requests are cut.",
                run=self.act,
                ask=AskAction,
                gives=InstanceShown,
                refuses=(NO_INSTANCE, MOVED, FLY, NOT_READY, DELETED),
            ),
            Operation(
                method="DELETE",
                path="/v1/instances/{user_id}",
                name="destroyInstance",
                summary="End Machine, volume and row. There is no way back but Fly's snapshots.",
                run=self.destroy,
                ask=ForUser,
                status=204,
                refuses=(NO_INSTANCE, MOVED, FLY),
            ),
        )

    async def page(self, call: Call[AskPage, None]) -> InstancesPage:
        ask = call.ask
        found = await searched(self._records, ask, limit=ask.limit)
        more = None if len(found) < ask.limit else mark(ask.sort, found[-1][0], found[-1][1].user_id)
        return InstancesPage(instances=[InstanceShown.of(each) for _, each in found], next=more)

    async def show(self, call: Call[ForUser, None]) -> InstanceShown:
        instance = await self.found(call.ask.user)
        waiting = await self._records.waiting(instance.user_id) if instance.state is State.FAILED else None
        return InstanceShown.of(instance, waiting)

    async def act(self, call: Call[AskAction, None]) -> InstanceShown:
        instance = await self.found(call.ask.user)
        return InstanceShown.of(await self.move(instance, call.ask.action, actor=call.caller.actor))

    async def destroy(self, call: Call[ForUser, None]) -> None:
        instance = await self.found(call.ask.user)
        await self._lifecycle.destroy(instance.user_id, actor=call.caller.actor)

    async def move(self, instance: Instance, action: str, *, actor: str) -> Instance:
        """Do what is asked for; raises as `Lifecycle` does."""
        match action:
            case "suspend":
                return await self._lifecycle.suspend(instance.user_id, actor=actor)
            case "stop":
                return await self._lifecycle.stop(instance.user_id, actor=actor)
            case "restart":
                return await self._start(await self._lifecycle.stop(instance.user_id, actor=actor), actor)
            case _:
                return await self._start(instance, actor)

    async def found(self, user_id: UserId) -> Instance:
        """The user's Instance. Raises Refused if there is none."""
        instance = await self._records.find(user_id)
        if instance is None:
            raise Refused(NO_INSTANCE)
        return instance

    async def _start(self, instance: Instance, actor: str) -> Instance:
        visitor = Visitor(instance.user_id, instance.email)
        deadline = self._clock.monotonic() + START_WITHIN_S
        return await self._lifecycle.ensure_ready(visitor, deadline=deadline, actor=actor, doubt=True, force=True)


async def searched(records: Records, ask: AskPage, *, limit: int) -> Sequence[tuple[str, Instance]]:
    """What was asked for, `limit` at most; each with what it is ordered by, for `mark`. Raises Refused."""
    return await records.search(
        state=ask.state,
        region=ask.region,
        word=ask.q,
        sort=ask.sort,
        descending=ask.desc,
        after=None if ask.after is None else place(ask.sort, ask.after),
        limit=limit,
    )


def mark(sort: str, key: str, user_id: UUID) -> str:
    """Where the following page goes on. Of the usual order, simply the last user's id."""
    return str(user_id) if sort == "user_id" else f"{user_id}~{key}"


def place(sort: str, after: str) -> tuple[str, UUID]:
    """A mark, read. Raises Refused."""
    named, tilde, key = after.partition("~")
    try:
        user_id = UUID(named)
    except ValueError:
        raise Refused(BAD_AFTER) from None
    if bool(tilde) is (sort == "user_id"):
        raise Refused(BAD_AFTER)
    return key if tilde else str(user_id), user_id
