"""/admin/users: what a service key may do to anybody."""

import hashlib
import re
from base64 import urlsafe_b64encode
from datetime import timedelta
from math import ceil
from typing import Final
from uuid import UUID

from aiohttp import web

from localcloud.auth import sessions
from localcloud.auth.account import merged
from localcloud.auth.edge import ADMIN_ROLES, bearer_claims
from localcloud.auth.errors import EMAIL_EXISTS, NO_SUCH_USER, NOT_ADMIN, Refused, validation
from localcloud.auth.records import Identity, Session, User
from localcloud.auth.service import SERVICE, Service, read_object

UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
STEP: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
PER_PAGE: Final = 50


def require_admin(request: web.Request) -> None:
    if bearer_claims(request).get("role") not in ADMIN_ROLES:
        raise Refused(NOT_ADMIN)


def go_duration(text: str) -> timedelta:
    """Such as `24h` or `1h30m`, as Go's ParseDuration reads it.

    Raises:
        Refused: it is none.
    """
    steps = STEP.findall(text)
    if not steps or "".join(number + unit for number, unit in steps) != text:
        raise validation("invalid format for ban duration: time: invalid duration")
    return timedelta(seconds=sum(float(number) * UNITS[unit] for number, unit in steps))


def _the_user(request: web.Request) -> User:
    try:
        user_id = str(UUID(request.match_info["user_id"]))
    except ValueError as error:
        raise validation("user_id must be an UUID", status=404) from error
    user = request.app[SERVICE].store.find(User, id=user_id)
    if user is None:
        raise Refused(NO_SUCH_USER)
    return user


async def list_users(request: web.Request) -> web.Response:
    """A page of users, oldest first, with `Link` and `X-Total-Count`."""
    require_admin(request)
    service = request.app[SERVICE]
    try:
        page = max(1, int(request.query.get("page") or 1))
        per_page = max(1, int(request.query.get("per_page") or PER_PAGE))
    except ValueError as error:
        raise validation("Bad Pagination Parameters") from error
    total = service.store.count(User)
    last = max(1, ceil(total / per_page))
    numbered = {"next": page + 1, "last": last} if page < last else {"last": last}
    links = [f'<{request.url.with_query(page=n, per_page=per_page)}>; rel="{rel}"' for rel, n in numbered.items()]
    users = service.store.page(User, limit=per_page, offset=(page - 1) * per_page)
    return web.json_response(
        {"users": [service.describe(user) for user in users], "aud": "authenticated"},
        headers={"X-Total-Count": str(total), "Link": ", ".join(links)},
    )


async def get_user(request: web.Request) -> web.Response:
    require_admin(request)
    return web.json_response(request.app[SERVICE].describe(_the_user(request)))


async def put_user(request: web.Request) -> web.Response:
    """Change metadata, address, role, or ban for a while; `ban_duration: "none"` forgives."""
    require_admin(request)
    service = request.app[SERVICE]
    user, body = _the_user(request), await read_object(request)
    if ban := body.get("ban_duration"):
        user.banned_until = None if ban == "none" else service.now() + go_duration(str(ban))
    if email := body.get("email"):
        other = service.store.find(User, email=str(email).lower())
        if other is not None and other.id != user.id:
            raise Refused(EMAIL_EXISTS)
        user.email, user.new_email = str(email).lower(), None
    if isinstance(body.get("app_metadata"), dict):
        user.app_metadata = merged(user.app_metadata, body["app_metadata"])
    if isinstance(body.get("user_metadata"), dict):
        user.user_metadata = merged(user.user_metadata, body["user_metadata"])
    if isinstance(body.get("role"), str):
        user.role = body["role"]
    user.updated_at = service.now()
    service.store.save(user)
    await service.mirror.user(user)
    return web.json_response(service.describe(user))


async def delete_user(request: web.Request) -> web.Response:
    """Delete for good, or scramble and keep the row. Refused as the database refuses, if rows still point here."""
    require_admin(request)
    service = request.app[SERVICE]
    user, body = _the_user(request), await read_object(request)
    if body.get("should_soft_delete"):
        await _scramble(service, user)
    else:
        await service.mirror.forget_user(user.id)  # first: it may object
        service.store.delete(User, id=user.id)
    return web.json_response({})


async def _scramble(service: Service, user: User) -> None:
    for session in service.store.all(Session, user_id=user.id):
        await sessions.end(service, session)
    with service.store.transaction():
        for identity in service.store.all(Identity, user_id=user.id):
            identity.provider_id = _obscured(user.id, identity.provider_id)
            identity.identity_data = {}
            service.store.save(identity)
        user.email = _obscured(user.id, user.email)
        user.user_metadata, user.app_metadata = {}, {}
        user.deleted_at = user.updated_at = service.now()
        service.store.save(user)
    await service.mirror.user(user)


def _obscured(user_id: str, value: str) -> str:
    return urlsafe_b64encode(hashlib.sha256((user_id + value).encode()).digest()).rstrip(b"=").decode()
