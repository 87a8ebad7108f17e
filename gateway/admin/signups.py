"""Who waits to be let in, and the operator's word about it.

`admit` lets somebody in, also back in after a refusal or suspension; `refuse` keeps out who waits; `suspend` throws out
who is in: their sessions and tokens end, their Machine and data stay.
"""

from typing import Final, Protocol
from uuid import UUID

from aiohttp import web

from gateway.admin.ask import PAGE_MOST, Refused, query
from gateway.admin.guard import CALLER
from gateway.errors import Answer
from gateway.session.admissions import Signup, Standing
from provisioner.instance import UserId

VERDICTS: Final = {"admit": Standing.ADMITTED, "refuse": Standing.REFUSED, "suspend": Standing.SUSPENDED}
UNKNOWN: Final = Answer(404, "No such sign-up", "Nobody with this id has asked to come in.")
BAD_ID: Final = Answer(400, "Not a user id", "The user id in the path has to be a UUID.")


class Signups(Protocol):
    """The list, as far as an operator needs it."""

    async def page(self, *, status: Standing | None, after: UserId | None, limit: int) -> list[Signup]: ...

    async def decide(self, user_id: UserId, standing: Standing, *, by: str) -> Signup | None: ...


class SignupDesk:
    """Handlers of `/v1/signups`."""

    def __init__(self, signups: Signups) -> None:
        self._signups = signups

    async def page(self, request: web.Request) -> web.Response:
        """`?status=&after=<user id>&limit=`, first come first; `next` is the `after` of the following page."""
        status = query(request, "status", Standing, None)
        after = query(request, "after", lambda text: UserId(UUID(text)), None)
        limit = query(request, "limit", int, 100)
        if not 1 <= limit <= PAGE_MOST:
            raise Refused(Answer(400, "Bad limit", f"`limit` has to be between 1 and {PAGE_MOST}."))
        found = await self._signups.page(status=status, after=after, limit=limit)
        more = str(found[-1].user_id) if len(found) == limit else None
        return web.json_response({"signups": [each.as_json() for each in found], "next": more})

    async def decide(self, request: web.Request) -> web.Response:
        try:
            user_id = UserId(UUID(request.match_info["user_id"]))
        except ValueError:
            raise Refused(BAD_ID) from None
        standing = VERDICTS[request.match_info["verdict"]]
        decided = await self._signups.decide(user_id, standing, by=request[CALLER].actor)
        if decided is None:
            raise Refused(UNKNOWN)
        return web.json_response(decided.as_json())
