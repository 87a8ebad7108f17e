"""The gateway in front of Auth: API keys, and whose address a call counts for."""

from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final

import jwt
from aiohttp import web
from aiohttp.typedefs import Handler

from localcloud.auth.errors import BAD_JWT, EXPIRED_JWT, NO_BEARER, Refused
from localcloud.auth.keys import UnknownKey
from localcloud.auth.service import BASE_PATH, SERVICE, Service

OPEN: Final = frozenset(BASE_PATH + path for path in ("/authorize", "/callback", "/verify", "/.well-known/jwks.json"))
ADMIN_ROLES: Final = frozenset({"service_role", "supabase_admin"})


def api_key(request: web.Request) -> str:
    return request.headers.get("apikey") or request.query.get("apikey", "")


def role_of(key: str, service: Service) -> str | None:
    """What an API key may do: `anon`, `service_role`, or None for a key that is none of ours."""
    if key == service.project.publishable_key:
        return "anon"
    if key == service.project.secret_key:
        return "service_role"
    try:
        claims = _timely(service.keys.verify(key), service.now())
    except (jwt.InvalidTokenError, UnknownKey, Refused):
        return None
    role = claims.get("role")
    return role if role in {"anon", "service_role"} and "sub" not in claims else None


def _refusal(message: str, hint: str) -> web.Response:
    # The edge is not Auth: its errors carry none of Auth's codes.
    return web.json_response({"message": message, "hint": hint}, status=401)


@web.middleware
async def require_api_key(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through what carries a key of this project, or needs none."""
    service = request.app[SERVICE]
    if not request.path.startswith(BASE_PATH + "/") or request.path in OPEN:
        return await handler(request)
    key = api_key(request)
    if not key:
        return _refusal("No API key found in request", "No `apikey` request header or url param was found.")
    if role_of(key, service) is None:
        return _refusal("Invalid API key", "Double check your API key.")
    if key == service.project.secret_key and "Mozilla/" in request.headers.get("User-Agent", ""):
        return _refusal(
            "Forbidden use of secret API key in browser",
            "Secret API keys can only be used in a protected environment and should never be used in a browser.",
        )
    return await handler(request)


def caller_address(request: web.Request) -> str:
    """The address a call counts for: the peer's, or the one vouched for with a secret key."""
    service = request.app[SERVICE]
    claimed = request.headers.get("Sb-Forwarded-For", "").partition(",")[0].strip()
    if claimed and service.project.ip_forwarding and api_key(request) == service.project.secret_key:
        try:
            return str(ip_address(claimed))
        except ValueError:
            pass
    return request.remote or ""


def bearer_claims(request: web.Request) -> dict[str, Any]:
    """The claims behind the Authorization header.

    A publishable or secret key there is no JWT; the edge swaps it for one, if it is byte for byte the `apikey`.

    Raises:
        Refused: none there, not ours, or expired.
    """
    service = request.app[SERVICE]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(NO_BEARER)
    project = service.project
    if token == api_key(request) and token in {project.publishable_key, project.secret_key}:
        return {"role": role_of(token, service)}
    try:
        claims = service.keys.verify(token)
    except (jwt.InvalidTokenError, UnknownKey) as error:
        raise Refused(BAD_JWT) from error
    return _timely(claims, service.now())


def _timely(claims: dict[str, Any], now: datetime) -> dict[str, Any]:
    if not isinstance(claims.get("exp"), int) or claims["exp"] <= now.timestamp():
        raise Refused(EXPIRED_JWT)
    return claims
