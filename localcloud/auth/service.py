"""What all handlers share, and how they read a request."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from localcloud.auth.errors import BAD_JSON, Refused
from localcloud.auth.google import Google
from localcloud.auth.keys import KeyRing
from localcloud.auth.limits import Buckets
from localcloud.auth.mirror import Mirror
from localcloud.auth.project import Project
from localcloud.auth.records import Identity, User
from localcloud.auth.store import Store
from localcloud.auth.tokens import user_json

BASE_PATH: Final = "/auth/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One running Auth server."""

    origin: str
    """`http://host:port`, without the base path: what SUPABASE_URL is."""
    project: Project
    store: Store
    keys: KeyRing
    google: Google
    mirror: Mirror
    now: Callable[[], datetime]
    buckets: Buckets = field(default_factory=Buckets)

    @property
    def issuer(self) -> str:
        return self.origin + BASE_PATH

    @property
    def callback_url(self) -> str:
        return f"{self.issuer}/callback"

    def describe(self, user: User) -> dict[str, Any]:
        """The user as clients see it, identities and all."""
        return user_json(user, self.store.all(Identity, user_id=user.id))


SERVICE: Final = web.AppKey("service", Service)


def sent_to(url: str, *, status: int = 302) -> web.Response:
    """A redirect to exactly `url`: `web.HTTPFound` would re-quote it."""
    return web.Response(status=status, headers={"Location": url})


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object. The content type is not looked at."""
    raw = await request.read()
    try:
        body = json.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise Refused(BAD_JSON) from error
    if not isinstance(body, dict):
        raise Refused(BAD_JSON)
    return body


def text(body: dict[str, Any], name: str) -> str:
    """A string of the body, empty if absent.

    Raises:
        Refused: it is there and is no string.
    """
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise Refused(BAD_JSON)
    return value
