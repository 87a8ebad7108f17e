"""Every way a sign-in can end badly, in the user's words.

What Supabase or Google write into a URL is untrusted text: it picks a row of this table and is never shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from gateway.session.admissions import Standing
from gateway.session.identity import SessionError
from gateway.session.next import HOME


class Kind(StrEnum):
    CANCELLED = "cancelled"
    START_AGAIN = "start_again"
    TOO_SLOW = "too_slow"
    MIXED_UP = "mixed_up"
    SIGN_UPS_CLOSED = "sign_ups_closed"
    BANNED = "banned"
    EMAIL_UNVERIFIED = "email_unverified"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    LOOP = "loop"
    WAITING_LIST = "waiting_list"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    LEAVING = "leaving"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wording:
    status: int
    title: str
    words: str


WORDS: Final[Mapping[Kind, Wording]] = {
    Kind.CANCELLED: Wording(400, "Sign-in was cancelled", "You left Google before choosing an account."),
    Kind.START_AGAIN: Wording(
        400,
        "Please sign in again",
        "This sign-in was begun in another browser, was used already, or is too old to be finished.",
    ),
    Kind.TOO_SLOW: Wording(
        400, "That took a little too long", "A sign-in has to be finished within five minutes. Please start again."
    ),
    Kind.MIXED_UP: Wording(
        400, "Please sign in again", "Two sign-ins got mixed up, so neither was finished. Nothing is lost."
    ),
    Kind.SIGN_UPS_CLOSED: Wording(
        403,
        "Sign-ups are closed",
        "New accounts are not being taken right now. If you have one, use its Google account.",
    ),
    Kind.BANNED: Wording(403, "This account cannot sign in", "If you think that is a mistake, please write to us."),
    Kind.EMAIL_UNVERIFIED: Wording(
        403,
        "Your e-mail address is not verified",
        "Google has not verified the address of this account yet. Verify it there, then sign in again.",
    ),
    Kind.BUSY: Wording(503, "Many people are signing in", "Please try again in a minute."),
    Kind.UNAVAILABLE: Wording(
        503,
        "Sign-in does not answer right now",
        "This is on our side and usually passes within minutes. Please try again.",
    ),
    Kind.LOOP: Wording(
        429,
        "Signing in goes round in circles",
        "You were sent to sign-in several times within a minute. Usually this browser does not keep our cookies (a "
        "privacy extension, blocked cookies, a private window), its clock is wrong, or the page you want keeps sending "
        "you here. Allow cookies for this site, or open its first page instead.",
    ),
    Kind.WAITING_LIST: Wording(
        403,
        "You are on the waiting list",
        "We let people in little by little. Your place is kept under the address you signed in with: there is nothing "
        "more to do. Sign in again any time to see whether it is your turn.",
    ),
    Kind.REFUSED: Wording(
        403, "This account was not let in", "Whoever runs this service decided so. If that is a mistake, write to them."
    ),
    Kind.SUSPENDED: Wording(
        403,
        "Your account is suspended",
        "Nothing on your machine was deleted. Please write to whoever runs this service to have it opened again.",
    ),
    Kind.LEAVING: Wording(
        403,
        "Your account is being deleted",
        "It takes a minute until everything is gone. After that you may sign up again and start afresh.",
    ),
    Kind.FAILED: Wording(
        502, "Sign-in did not work", "Google or our sign-in service reported a problem. Please try again."
    ),
}

BY_STANDING: Final[Mapping[Standing, Kind]] = {
    Standing.WAITING: Kind.WAITING_LIST,
    Standing.REFUSED: Kind.REFUSED,
    Standing.SUSPENDED: Kind.SUSPENDED,
    Standing.LEAVING: Kind.LEAVING,
}

RETRY_AFTER: Final[Mapping[Kind, int]] = {Kind.BUSY: 60, Kind.UNAVAILABLE: 10, Kind.LOOP: 60}  # seconds

_BY_CODE: Final[Mapping[str, Kind]] = {
    "access_denied": Kind.CANCELLED,  # Google's own, without an error_code
    "signup_disabled": Kind.SIGN_UPS_CLOSED,
    "user_banned": Kind.BANNED,
    "provider_email_needs_verification": Kind.EMAIL_UNVERIFIED,
    "bad_oauth_callback": Kind.START_AGAIN,
    "bad_oauth_state": Kind.TOO_SLOW,
    "flow_state_already_used": Kind.START_AGAIN,
    "flow_state_not_found": Kind.START_AGAIN,
    "flow_state_expired": Kind.TOO_SLOW,
    "bad_code_verifier": Kind.MIXED_UP,
    "validation_failed": Kind.START_AGAIN,
    "over_request_rate_limit": Kind.BUSY,
    "request_timeout": Kind.UNAVAILABLE,
}


class SignInFailed(SessionError):
    """A sign-in that ended badly, with everything the edge needs to tell the user.

    `set_cookies` are Set-Cookie values that the answer must carry, whatever it looks like.
    """

    def __init__(self, kind: Kind, *, next_path: str = HOME, set_cookies: tuple[str, ...] = ()) -> None:
        wording = WORDS[kind]
        super().__init__(kind.value)
        self.kind, self.status, self.title, self.words = kind, wording.status, wording.title, wording.words
        self.retry_url = login_url(next_path)
        self.retry_after = RETRY_AFTER.get(kind)
        self.set_cookies = set_cookies


def login_url(next_path: str) -> str:
    """Where signing in starts, coming back to `next_path`."""
    return "/auth/login" if next_path == HOME else f"/auth/login?next={quote(next_path, safe='/')}"


def kind_of(query: Mapping[str, str]) -> Kind | None:
    """What an `error=…` query tells, on the callback or (Supabase's last resort) on `/`. None if it tells of none.

    `error_code` is Supabase's and exact; `error` alone is Google's, or a raw failure behind Supabase.
    """
    error, code = query.get("error"), query.get("error_code")
    if not error and not code:
        return None
    return kind_of_code(code) if code else _BY_CODE.get(error or "", Kind.FAILED)


def kind_of_code(code: str | None) -> Kind:
    """The row for one of Supabase's error codes; FAILED for codes we have not met."""
    return _BY_CODE.get(code or "", Kind.FAILED)
