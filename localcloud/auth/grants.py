"""POST /token: a code or a refresh token for an access token."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import timedelta

from aiohttp import web

from localcloud.auth import sessions
from localcloud.auth.edge import caller_address
from localcloud.auth.errors import (
    BAD_VERIFIER,
    FLOW_EXPIRED,
    FLOW_NOT_FOUND,
    RATE_LIMITED,
    UNSUPPORTED_GRANT,
    USER_BANNED,
    OAuthRefused,
    Refused,
    validation,
)
from localcloud.auth.records import Flow, User
from localcloud.auth.service import SERVICE, read_object, text


async def token(request: web.Request) -> web.Response:
    """All grants drink from one bucket per address, so that bad codes can starve good refreshes, as they do there."""
    service = request.app[SERVICE]
    project = service.project
    if not service.buckets.take(
        caller_address(request), burst=project.rate_burst, per_hour=project.rate_per_hour, now=service.now()
    ):
        raise Refused(RATE_LIMITED)
    match request.query.get("grant_type"):
        case "pkce":
            return await _pkce(request)
        case "refresh_token":
            return await _refresh(request)
        case _:
            raise Refused(UNSUPPORTED_GRANT)


async def _pkce(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    body = await read_object(request)
    code, verifier = text(body, "auth_code"), text(body, "code_verifier")
    if not code or not verifier:
        raise validation("invalid request: both auth code and code verifier should be non-empty")
    flow = service.store.find(Flow, auth_code=code)
    if flow is None or flow.user_id is None:
        raise Refused(FLOW_NOT_FOUND)
    if service.now() > flow.created_at + timedelta(seconds=service.project.flow_lifetime_s):
        raise Refused(FLOW_EXPIRED)
    if not challenge_met(flow.code_challenge or "", flow.code_challenge_method or "", verifier):
        raise Refused(BAD_VERIFIER)  # the code stays good: somebody else may hold its verifier
    user = service.store.find(User, id=flow.user_id)
    if user is None:
        raise Refused(FLOW_NOT_FOUND)
    if user.is_banned(service.now()):
        raise Refused(USER_BANNED)
    service.store.delete(Flow, id=flow.id)
    answer = await sessions.begin(request, user)
    answer["provider_token"] = flow.provider_token
    if flow.provider_refresh_token:
        answer["provider_refresh_token"] = flow.provider_refresh_token
    return web.json_response(answer)


async def _refresh(request: web.Request) -> web.Response:
    presented = text(await read_object(request), "refresh_token")
    if not presented:
        raise OAuthRefused("invalid_request", "refresh_token required")
    return web.json_response(await sessions.go_on(request, presented))


def challenge_met(challenge: str, method: str, verifier: str) -> bool:
    """RFC 7636 §4.6."""
    if method == "plain":
        return hmac.compare_digest(challenge.encode(), verifier.encode())
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(challenge.encode(), urlsafe_b64encode(digest).rstrip(b"="))
