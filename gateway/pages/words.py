"""Every sentence that the pages say about a wake or a failed sign-in, in one place and in plain words."""

import math
from dataclasses import dataclass
from typing import Final

from gateway.pages.view import InstanceView, StepState, slow
from provisioner.instance import State


@dataclass(frozen=True, slots=True)
class StepWords:
    """How a step is called in the list, and the sentence while it runs."""

    label: str
    now: str


STEP_WORDS: Final = {
    "reserve": StepWords("Reserving your machine", "Finding a place for your Jarvis."),
    "boot": StepWords("Starting your machine", "Switching your machine on."),
    "resume": StepWords("Waking your machine", "Picking up exactly where you left off."),
    "network": StepWords("Connecting", "Making a private connection to your machine."),
    "app": StepWords("Waking Jarvis", "Your machine is on. Jarvis is getting ready."),
    "open": StepWords("Opening", "Everything is up. Opening your Jarvis."),
}

SAY: Final = {
    "begin": "Getting your Jarvis ready.",
    "slow": "This is slower than usual. Still trying.",
    "attempt": "This is attempt {n}.",
    "place": "You are number {n} in line. Reloading keeps your place.",
    "next": "You are next in line. Reloading keeps your place.",
    "ready": "Ready. Opening your Jarvis.",
    "failed": "That did not work. We will try again by ourselves.",
    "lost": "The connection to us was lost. Trying again.",
    "stopped": "This page has stopped waiting. Your machine carries on without it.",
    "loop": "Your Jarvis says it is ready, but this page came back. Open it yourself when you like.",
    "again": "Try again",
    "go_on": "Go on waiting",
    "open": "Open Jarvis",
    "copied": "Copied",
    "ready_title": "Ready: your Jarvis",
}
"""The other sentences; the open page uses the same ones. `{n}` is a number."""

HEADINGS: Final = {
    "queued": "You have a place in line",
    "failed": "We could not start your Jarvis yet",
    "first": "Setting up your Jarvis",
    "wake": "Waking your Jarvis",
}

STEP_STATE_WORDS: Final = {"waiting": "to do", "running": "in progress", "done": "done", "failed": "failed"}
"""What a screen reader hears beside a step, where the eye sees a ring, a tick or a cross."""

_TRY_AGAIN = "Please try again."
_CLOSED = (
    "Signing up is closed at the moment. If you already have a Jarvis, sign in with the account you signed up with."
)
SIGN_IN_ERRORS: Final = {
    "access_denied": "You cancelled at Google, so nothing was done. " + _TRY_AGAIN,
    "signup_disabled": _CLOSED,
    "not_invited": _CLOSED,
    "user_banned": "This account has been switched off. If you think that is a mistake, please write to us.",
    "provider_email_needs_verification": "Google has not confirmed your email address yet. Confirm it there, then "
    "sign in again.",
    "flow_expired": "Signing in took too long, so we stopped it for your safety. " + _TRY_AGAIN,
    "flow_missing": "Your browser did not send back our sign-in cookie. Allow cookies for this site, then try again.",
    "session_expired": "You were signed out. Sign in again to go on where you were.",
    "sign_in_unavailable": "Signing in is not possible right now; the fault is on our side. "
    "Please try again in a minute.",
    "too_many": "That was a lot of attempts in a short time. Please wait a minute, then try again.",
    "loop": "Signing in sent you round in circles. Check that your device's clock is right and cookies are allowed.",
    "not_a_person": "That kind of account cannot have a Jarvis. Please use your Google account.",
}
"""What `/?error=…` may say: Supabase Auth's codes (it goes to the site root when it has lost its state), and ours."""

_SAME_AS: Final = {
    "bad_oauth_state": "flow_expired",
    "bad_oauth_callback": "flow_expired",
    "flow_state_expired": "flow_expired",
    "flow_state_not_found": "flow_expired",
    "flow_state_already_used": "flow_expired",
    "invalid_request": "flow_expired",
    "server_error": "sign_in_unavailable",
    "temporarily_unavailable": "sign_in_unavailable",
    "validation_failed": "flow_expired",
    "bad_code_verifier": "flow_expired",
    "request_timeout": "sign_in_unavailable",
    "unexpected_failure": "sign_in_unavailable",
    "over_request_rate_limit": "too_many",
}
_UNKNOWN: Final = "Signing in did not work. " + _TRY_AGAIN


def sign_in_error(code: str) -> str:
    """Plain words for an error code from the query. An unknown code is never shown: it is anybody's text."""
    return SIGN_IN_ERRORS.get(_SAME_AS.get(code, code), _UNKNOWN)


def heading(view: InstanceView) -> str:
    """What the page is about, in a few words. `rules.js` says the same in the open page."""
    if view.state is State.FAILED:
        return HEADINGS["failed"]
    if view.place is not None:
        return HEADINGS["queued"]
    return HEADINGS["first" if view.state is State.PROVISIONING else "wake"]


def to_go(view: InstanceView) -> str:
    """How long it will still take, or when we try again; nothing if we cannot say. `rules.js` says the same."""
    if not view.eta_s or view.ready or slow(view.steps):
        return ""
    time = f"{math.ceil(view.eta_s)} s" if view.eta_s < 90 else f"{math.ceil(view.eta_s / 60)} min"
    return f"next attempt in about {time}" if view.state is State.FAILED else f"about {time} to go"


def sentence(view: InstanceView) -> str:
    """The one line on what is going on. `rules.js` says the same in the open page."""
    if view.ready:
        return SAY["ready"]
    place = "" if view.place is None else SAY["next" if view.place <= 1 else "place"].format(n=view.place)
    if view.state is State.FAILED or any(s.state is StepState.FAILED for s in view.steps):
        return f"{view.error or SAY['failed']} {place}".strip()
    if place:
        return place
    running = [s for s in view.steps if s.state is StepState.RUNNING]
    said = STEP_WORDS[running[-1].name].now if running else SAY["begin"]
    if slow(view.steps):
        said = SAY["slow"]
    return f"{said} {SAY['attempt'].format(n=view.attempt)}" if view.attempt > 1 else said
