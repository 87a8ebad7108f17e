"""Operators and what was done: the admin API's handlers about people rather than Machines."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from gateway.admin.ask import PAGE_MOST, Refused, query
from gateway.admin.guard import BOOTSTRAP
from gateway.errors import Answer
from provisioner.audit import Entry, Trail
from provisioner.instance import UserId
from provisioner.operators import NameTaken, Operator, Operators, Role, hash_of, is_name, new_token

BAD_OPERATOR: Final = Answer(
    400,
    "Not an operator",
    'Send {"name": …, "role": "viewer", "operator" or "owner"} as JSON; names are lower case letters, digits, . _ -',
)
NAME_TAKEN: Final = Answer(409, "Name taken", "Somebody has or had this name; names are never given away again.")
NO_OPERATOR: Final = Answer(404, "No such operator", "Nobody of this name is on record.")


class People:
    """Handlers; see `gateway.admin.routes` for their paths."""

    def __init__(self, operators: Operators, trail: Trail) -> None:
        self._operators, self._trail = operators, trail

    async def operators(self, _: web.Request) -> web.Response:
        return web.json_response({"operators": [operator_json(each) for each in await self._operators.all()]})

    async def enlist(self, request: web.Request) -> web.Response:
        """A new operator. The token is in this answer and nowhere else, ever."""
        told = await _object(request)
        name, role = told.get("name"), told.get("role")
        if not is_name(name) or role not in list(Role):
            raise Refused(BAD_OPERATOR)
        if name == BOOTSTRAP.name:
            raise Refused(NAME_TAKEN)
        token = new_token()
        try:
            made = await self._operators.add(str(name), Role(role), hash_of(token))
        except NameTaken:
            raise Refused(NAME_TAKEN) from None
        shown = {**operator_json(made), "token": token}
        return web.json_response(shown, status=201, headers={"Cache-Control": "no-store"})

    async def revoke(self, request: web.Request) -> web.Response:
        gone = await self._operators.revoke(request.match_info["name"])
        if gone is None:
            raise Refused(NO_OPERATOR)
        return web.json_response(operator_json(gone))

    async def audit(self, request: web.Request) -> web.Response:
        """`?user=&since=&before=<id>&limit=`, newest first; `next` is the `before` of the following page."""
        limit = query(request, "limit", int, 100)
        if not 1 <= limit <= PAGE_MOST:
            raise Refused(Answer(400, "Bad limit", f"`limit` has to be between 1 and {PAGE_MOST}."))
        entries = await self._trail.latest_audit(
            user_id=query(request, "user", lambda text: UserId(UUID(text)), None),
            since=query(request, "since", aware, None),
            before=query(request, "before", int, None),
            limit=limit,
        )
        more = entries[-1].id if len(entries) == limit else None
        return web.json_response({"entries": [entry_json(each) for each in entries], "next": more})


def aware(text: str) -> datetime:
    """An ISO 8601 instant. Raises ValueError for what is none, or names no time zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return at


def operator_json(operator: Operator) -> dict[str, Any]:
    """One operator for their owner. Times are ISO 8601 in UTC."""

    def told(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "name": operator.name,
        "role": operator.role.value,
        "created_at": told(operator.created_at),
        "last_used_at": told(operator.last_used_at),
        "revoked_at": told(operator.revoked_at),
    }


def entry_json(entry: Entry) -> dict[str, Any]:
    """One row of the audit log."""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "user_id": None if entry.user_id is None else str(entry.user_id),
        "from_state": entry.from_state,
        "to_state": entry.to_state,
        "detail": json.loads(entry.detail),
        "hash": entry.hash.hex(),
    }


async def _object(request: web.Request) -> Mapping[str, Any]:
    try:
        told = await request.json()
    except ValueError:
        raise Refused(BAD_OPERATOR) from None
    if not isinstance(told, dict):
        raise Refused(BAD_OPERATOR)
    return told
