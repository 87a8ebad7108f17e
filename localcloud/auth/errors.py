"""What Auth refuses, as one table, and the two shapes in which it says so."""

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

API_VERSION_HEADER: Final = "X-Supabase-Api-Version"
API_VERSION: Final = "2024-01-01"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to say no: HTTP status, the code that clients branch on, and words for people."""

    status: int
    code: str
    message: str


class Refused(Exception):
    """Ends a request with `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class OAuthRefused(Exception):
    """Ends a request with OAuth's own 400 body, `error` and `error_description`; it carries no code of Auth's."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


class DatabaseRefused(Exception):
    """Postgres said no: a trigger raised, or a row of somebody else still points at the user."""

    def __init__(self, sqlstate: str, message: str, detail: str | None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail


def validation(message: str, status: int = 400) -> Refused:
    return Refused(Refusal(status, "validation_failed", message))


BAD_JSON: Final = Refusal(400, "bad_json", "Could not parse request body as JSON")
TOO_LARGE: Final = Refusal(413, "request_entity_too_large", "Request body too large")
UNSUPPORTED_GRANT: Final = Refusal(400, "invalid_credentials", "unsupported_grant_type")
RATE_LIMITED: Final = Refusal(429, "over_request_rate_limit", "Request rate limit reached")
UNEXPECTED: Final = Refusal(500, "unexpected_failure", "Unexpected failure, please check server logs")

NO_BEARER: Final = Refusal(401, "no_authorization", "This endpoint requires a valid Bearer token")
BAD_JWT: Final = Refusal(403, "bad_jwt", "invalid JWT: unable to parse or verify signature")
EXPIRED_JWT: Final = Refusal(403, "bad_jwt", "invalid JWT: token has invalid claims: token is expired")
NO_SUBJECT: Final = Refusal(403, "bad_jwt", "invalid claim: missing sub claim")
NOT_ADMIN: Final = Refusal(403, "not_admin", "User not allowed")
SESSION_GONE: Final = Refusal(403, "session_not_found", "Session from session_id claim in JWT does not exist")
USER_GONE: Final = Refusal(403, "user_not_found", "User from sub claim in JWT does not exist")
USER_BANNED: Final = Refusal(403, "user_banned", "User is banned")
NO_SUCH_USER: Final = Refusal(404, "user_not_found", "User not found")
EMAIL_EXISTS: Final = Refusal(422, "email_exists", "A user with this email address has already been registered")
WEAK_PASSWORD: Final = Refusal(422, "weak_password", "Password should be at least 6 characters.")

FLOW_NOT_FOUND: Final = Refusal(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
FLOW_EXPIRED: Final = Refusal(422, "flow_state_expired", "invalid flow state, flow state has expired")
BAD_VERIFIER: Final = Refusal(400, "bad_code_verifier", "code challenge does not match previously saved code verifier")
REFRESH_MALFORMED: Final = Refusal(400, "validation_failed", "Refresh token is not valid")
REFRESH_NOT_FOUND: Final = Refusal(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
REFRESH_USED: Final = Refusal(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
REFRESH_BANNED: Final = Refusal(400, "user_banned", "Invalid Refresh Token: User Banned")
REFRESH_NO_SESSION: Final = Refusal(400, "session_not_found", "Invalid Refresh Token: No Valid Session Found")
REFRESH_EXPIRED: Final = Refusal(400, "session_expired", "Invalid Refresh Token: Session Expired")

STATE_MISSING: Final = Refusal(400, "bad_oauth_callback", "OAuth state parameter missing")
STATE_INVALID: Final = Refusal(400, "bad_oauth_state", "OAuth state parameter is invalid")
STATE_UNKNOWN: Final = Refusal(400, "bad_oauth_state", "OAuth state not found or expired")
STATE_EXPIRED: Final = Refusal(400, "bad_oauth_state", "OAuth state has expired")
STATE_USED: Final = Refusal(400, "flow_state_already_used", "State has already been used")
CODE_MISSING: Final = Refusal(400, "bad_oauth_callback", "OAuth callback with missing authorization code missing")
EXCHANGE_FAILED: Final = Refusal(500, "unexpected_failure", "Unable to exchange external code")
SIGNUP_DISABLED: Final = Refusal(422, "signup_disabled", "Signups not allowed for this instance")
EMAIL_UNVERIFIED: Final = Refusal(
    403,
    "provider_email_needs_verification",
    "Unverified email with google. Verify the email with google in order to sign in",
)


def newer_shape(request: web.Request) -> bool:
    """Whether the caller asked for the error shape of 2024-01-01 or later. Dates compare as text."""
    return request.headers.get(API_VERSION_HEADER, "") >= API_VERSION


def body_of(refusal: Refusal, *, newer: bool) -> dict[str, Any]:
    if newer:
        return {"code": refusal.code, "message": refusal.message}
    return {"code": refusal.status, "error_code": refusal.code, "msg": refusal.message}


def answer(request: web.Request, refusal: Refusal) -> web.Response:
    """The response that tells `refusal` in the shape this caller understands."""
    newer = newer_shape(request)
    headers = {"x-sb-error-code": refusal.code}
    if newer:
        headers[API_VERSION_HEADER] = API_VERSION
    return web.json_response(body_of(refusal, newer=newer), status=refusal.status, headers=headers)


def answer_database(request: web.Request, error: DatabaseRefused) -> web.Response:
    """Raw database errors exist in the old shape only; the new one calls them unexpected."""
    if newer_shape(request):
        return answer(request, UNEXPECTED)
    body = {"code": error.sqlstate, "message": error.message}
    if error.detail:
        body["detail"] = error.detail
    return web.json_response(body, status=500)


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into what the real service would have sent."""
    try:
        return await handler(request)
    except Refused as refused:
        return answer(request, refused.refusal)
    except OAuthRefused as refused:
        body = {"error": refused.error, "error_description": refused.description}
        return web.json_response(body, status=400)
    except DatabaseRefused as refused:
        return answer_database(request, refused)
    except web.HTTPRequestEntityTooLarge:
        return answer(request, TOO_LARGE)
