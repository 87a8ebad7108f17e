"""/user and /logout: what a signed-in user may see and do."""

from typing import Any

from aiohttp import web

from localcloud.auth import sessions
from localcloud.auth.edge import bearer_claims
from localcloud.auth.errors import (
    NO_SUBJECT,
    NOT_ADMIN,
    SESSION_GONE,
    USER_BANNED,
    USER_GONE,
    WEAK_PASSWORD,
    Refused,
    validation,
)
from localcloud.auth.records import Session, User
from localcloud.auth.service import SERVICE, read_object


def require_user(request: web.Request) -> tuple[User, Session]:
    """Whose access token this is, and of which session.

    Raises:
        Refused: no such token, or its user or session is gone.
    """
    service = request.app[SERVICE]
    claims = bearer_claims(request)
    if not claims.get("sub"):
        raise Refused(NO_SUBJECT)
    user = service.store.find(User, id=claims["sub"])
    if user is None:
        raise Refused(USER_GONE)
    session = service.store.find(Session, id=claims.get("session_id"))
    if session is None:
        raise Refused(SESSION_GONE)
    if user.is_banned(service.now()):
        raise Refused(USER_BANNED)
    return user, session


async def get_user(request: web.Request) -> web.Response:
    user, _ = require_user(request)
    return web.json_response(request.app[SERVICE].describe(user))


async def put_user(request: web.Request) -> web.Response:
    """What users may change of themselves: `data` (their user_metadata), e-mail, password."""
    service = request.app[SERVICE]
    user, _ = require_user(request)
    body = await read_object(request)
    if "app_metadata" in body:
        raise Refused(NOT_ADMIN)
    if isinstance(body.get("password"), str) and len(body["password"]) < 6:
        raise Refused(WEAK_PASSWORD)
    if isinstance(body.get("data"), dict):
        user.user_metadata = merged(user.user_metadata, body["data"])
    if body.get("email") and body["email"] != user.email:
        user.new_email = str(body["email"]).lower()  # waits for a click in a mail that nobody sends here
    user.updated_at = service.now()
    service.store.save(user)
    await service.mirror.user(user)
    return web.json_response(service.describe(user))


async def logout(request: web.Request) -> web.Response:
    """End the session (`local`), all of the user's (`global`, the default) or all but this one (`others`)."""
    service = request.app[SERVICE]
    scope = request.query.get("scope") or "global"
    if scope not in {"global", "local", "others"}:
        raise validation(f'Unsupported logout scope "{scope}"')
    user, current = require_user(request)
    for session in service.store.all(Session, user_id=user.id):
        if scope == "global" or (session.id == current.id) == (scope == "local"):
            await sessions.end(service, session)
    return web.Response(status=204)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with `new` laid over it; a null takes a key away."""
    return {key: value for key, value in {**old, **new}.items() if value is not None}
