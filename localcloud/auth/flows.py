"""/authorize and /callback: out to Google and back."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID, uuid4

from aiohttp import web

from localcloud.auth import redirects, sessions
from localcloud.auth.errors import (
    CODE_MISSING,
    EXCHANGE_FAILED,
    STATE_EXPIRED,
    STATE_INVALID,
    STATE_MISSING,
    STATE_UNKNOWN,
    STATE_USED,
    Refusal,
    Refused,
    validation,
)
from localcloud.auth.google import AUTHORIZE_PATH, CLIENT_ID, GoogleRefused
from localcloud.auth.records import Flow
from localcloud.auth.service import SERVICE, Service, sent_to
from localcloud.auth.users import sign_in

CHALLENGE: Final = re.compile(r"[A-Za-z0-9\-._~]+")
OURS: Final = frozenset({"provider", "scopes", "code_challenge", "code_challenge_method"})
RESERVED: Final = frozenset(
    {"state", "redirect_uri", "client_id", "client_secret", "response_type", "code_verifier", "scope"}
)
KEEP_FLOWS: Final = timedelta(hours=24)
DENIALS: Final = frozenset({"signup_disabled", "user_banned", "provider_email_needs_verification"})


async def authorize(request: web.Request) -> web.Response:
    """Remember the flow and send the browser to Google. Errors are JSON in the browser's face, as they are there."""
    service = request.app[SERVICE]
    query = request.query
    if query.get("provider") != "google":
        raise validation(f"Unsupported provider: Provider {query.get('provider', '')} could not be found")
    if not service.project.google_enabled:
        raise validation("Unsupported provider: provider is not enabled")
    challenge, method = _challenge(query)
    now = service.now()
    flow = Flow(
        id=str(uuid4()),
        auth_code=str(uuid4()),
        redirect_to=redirects.choose(
            [
                request.headers.get("redirect_to") or query.get("redirect_to", ""),
                request.headers.get("Referer", ""),
            ],
            site_url=service.project.site_url,
            allow=service.project.allow,
        ),
        code_challenge=challenge,
        code_challenge_method=method,
        created_at=now,
    )
    service.store.drop_flows_before(now - KEEP_FLOWS)
    service.store.save(flow)
    scopes = ["email", "profile", *filter(None, query.get("scopes", "").split(","))]
    onward = {
        "client_id": CLIENT_ID,
        "redirect_uri": service.callback_url,
        "response_type": "code",
        "scope": " ".join(scopes),
        "state": flow.id,
        **{key: value for key, value in query.items() if key not in OURS and key.lower() not in RESERVED},
    }
    return sent_to(f"{service.origin}{AUTHORIZE_PATH}?{urlencode(sorted(onward.items()))}")


def _challenge(query: Mapping[str, str]) -> tuple[str | None, str | None]:
    challenge, method = query.get("code_challenge", ""), query.get("code_challenge_method", "").lower()
    if not challenge and not method:
        return None, None
    if not challenge or not method:
        raise validation("PKCE flow requires code_challenge_method and code_challenge")
    if not 43 <= len(challenge) <= 128:
        raise validation("code challenge has to be between 43 and 128 characters")
    if not CHALLENGE.fullmatch(challenge):
        raise validation(
            "code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes"
        )
    if method not in {"s256", "plain"}:
        raise validation("unsupported code_challenge_method")
    return challenge, method


async def callback(request: web.Request) -> web.Response:
    """Where Google returns to. Whatever happens, the browser is sent on."""
    service = request.app[SERVICE]
    # One value per name: Google sends no more, and whoever does is not Google.
    returned = {
        str(k): str(v) for k, v in (await request.post() if request.method == "POST" else request.query).items()
    }
    try:
        flow = _flow(service, returned.get("state", ""))
    except Refused as refused:
        # Without the flow nobody knows where the browser came from.
        return sent_to(redirects.with_query(service.project.site_url, _told(refused.refusal)), status=303)
    if "error" in returned:
        denied = {"error": returned["error"], "error_description": returned.get("error_description", "")}
        return sent_to(_failed(flow, denied))
    try:
        return sent_to(await _finish(request, flow, returned.get("code", "")))
    except Refused as refused:
        return sent_to(_failed(flow, _told(refused.refusal)))


def _flow(service: Service, state: str) -> Flow:
    if not state:
        raise Refused(STATE_MISSING)
    try:
        flow = service.store.find(Flow, id=str(UUID(state)))
    except ValueError as error:
        raise Refused(STATE_INVALID) from error
    if flow is None:
        raise Refused(STATE_UNKNOWN)
    if service.now() > flow.created_at + timedelta(seconds=service.project.flow_lifetime_s):
        raise Refused(STATE_EXPIRED)
    if flow.user_id is not None:
        raise Refused(STATE_USED)
    return flow


async def _finish(request: web.Request, flow: Flow, code: str) -> str:
    """Where a browser goes whose user signed in at Google: on with a code, or with tokens in the implicit flow."""
    service = request.app[SERVICE]
    if not code:
        raise Refused(CODE_MISSING)
    try:
        if service.project.google_exchange_fails:
            raise GoogleRefused
        grant = service.google.redeem(code)
    except GoogleRefused as refused:
        raise Refused(EXCHANGE_FAILED) from refused
    user = await sign_in(service, grant.account)
    if (service.store.find(Flow, id=flow.id) or flow).user_id is not None:
        raise Refused(STATE_USED)  # the same return, twice at once
    if flow.code_challenge is None:
        service.store.delete(Flow, id=flow.id)
        answer = await sessions.begin(request, user)
        names = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
        tokens = {name: str(answer[name]) for name in names}
        return redirects.with_query(
            flow.redirect_to, {}, fragment={**tokens, "provider_token": grant.access_token, "sb": ""}
        )
    flow.user_id = user.id
    flow.provider_token = grant.access_token
    flow.provider_refresh_token = grant.refresh_token
    service.store.save(flow)
    return redirects.with_query(flow.redirect_to, {"code": flow.auth_code})


def _told(refusal: Refusal) -> dict[str, str]:
    if refusal.code in DENIALS:
        error = "access_denied"
    else:
        error = "server_error" if refusal.status >= 500 else "invalid_request"
    return {"error": error, "error_code": refusal.code, "error_description": refusal.message}


def _failed(flow: Flow, error: Mapping[str, str]) -> str:
    # Twice: the query for servers, the fragment for single-page apps, which know it by the empty `sb`.
    return redirects.with_query(flow.redirect_to, error, fragment={**error, "sb": ""})
