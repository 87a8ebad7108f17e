"""The only place where a failure becomes a status. The answer is written for the user, the cause goes to the log."""

import json
from dataclasses import dataclass, replace
from math import ceil
from typing import Final
from uuid import uuid4

import asyncpg
from aiohttp import web

from gateway.limits.bucket import Standing
from gateway.pages.render import Page, Pages
from gateway.proxy import errors as proxy
from gateway.request import Kind
from gateway.session.admissions import NotAdmitted
from gateway.session.failures import BY_STANDING, WORDS, SignInFailed
from gateway.session.identity import NotSameOrigin, NotSignedIn, OutOfScope, SessionError, SignInUnavailable
from provisioner import errors as behind


class GatewayError(Exception):
    """What the gateway itself refuses."""


class TooManyHeld(GatewayError):
    """More requests wait for a sleeping Machine than we keep."""


class NothingToVisit(GatewayError):
    """An operator is on a visit, and the Instance is gone: a visit makes none."""


class TooManyOpen(GatewayError):
    """One user has more exchanges open with their Machine than we carry."""


class TooOften(GatewayError):
    """More requests than the plan, or the address, has tokens for."""

    def __init__(self, wait_s: float, standing: Standing) -> None:
        super().__init__(f"{standing.name}: none left for {wait_s:.3f} s")
        self.retry_after = max(1, ceil(wait_s))
        self.fields = standing.fields


class UnderMaintenance(GatewayError):
    """The operator closed the public listener for a while. The message is theirs, written for users."""


class NoSuchPage(GatewayError):
    """A reserved path without anything behind it."""


class WorkerAtRoot(GatewayError):
    """A service worker's script at a place from where it could answer for the gateway's own paths."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out for a kind of failure. `retry_after` in seconds."""

    status: int
    title: str
    words: str
    retry_after: int | None = None


AWAY: Final = Answer(503, "We cannot look up your machine", "Our database does not answer. Please try again.", 5)
_BUSY = "It is on its way. Please try again in a moment."
ANSWERS: Final[dict[type[Exception], Answer]] = {
    NotSignedIn: Answer(401, "Not signed in", "Sign in, or send a valid access token."),
    SignInUnavailable: Answer(503, "Sign-in does not answer right now", "We cannot tell who you are at the moment.", 5),
    NotSameOrigin: Answer(403, "Not from here", "This can only be asked from our own pages."),
    OutOfScope: Answer(403, "Not with this token", "The access token was not made for this. Make another one."),
    SessionError: Answer(500, "Something went wrong with your session", "Please sign in again."),
    TooManyHeld: Answer(503, "Too many requests are waiting", "Your machine is starting. " + _BUSY, 2),
    TooManyOpen: Answer(429, "Too many at once", "You have very many requests and streams open. Close some tabs.", 5),
    NothingToVisit: Answer(410, "Nothing to visit", "This user's machine is gone. A visit makes no new one."),
    TooOften: Answer(429, "Too many requests", "That was more than we take in so short a time. Please wait a little."),
    UnderMaintenance: Answer(
        503, "We are at work on it", "My Jarvis is closed for maintenance. Your data is safe.", 30
    ),
    NoSuchPage: Answer(404, "There is nothing here", "This address belongs to us, but there is no page behind it."),
    WorkerAtRoot: Answer(403, "No service worker here", "Put its script into a folder: / is not an app's alone."),
    GatewayError: Answer(500, "Something went wrong on our side", "Please try again."),
    behind.WakeExpired: Answer(503, "Your machine is starting", _BUSY, 1),
    behind.ProvisioningFailed: Answer(503, "Your machine could not be made yet", "We keep trying.", 10),
    behind.BeingDeleted: Answer(410, "This machine is being deleted", "Sign in again later to start afresh."),
    behind.NotReady: Answer(503, "Your machine does not answer", "It started, but the app on it did not answer.", 5),
    behind.NoCapacity: Answer(503, "No room right now", behind.NoCapacity.words, 30),
    behind.CloudError: Answer(503, "Your machine could not be started", behind.CloudError.words, 10),
    behind.ProvisionerError: Answer(503, "Your machine is not ready", _BUSY, 2),
    # The database is away, or slower than our patience. asyncpg lets the system's own errors through.
    TimeoutError: AWAY,
    OSError: AWAY,
    asyncpg.InterfaceError: AWAY,
    asyncpg.PostgresConnectionError: AWAY,
    asyncpg.OperatorInterventionError: AWAY,
    asyncpg.InsufficientResourcesError: AWAY,
    proxy.UpstreamRefused: Answer(502, "Your machine does not take connections", "Please try again.", 2),
    proxy.UpstreamUnreachable: Answer(502, "Your machine cannot be reached", "Please try again.", 2),
    proxy.UpstreamBusy: Answer(503, "Your machine is busy", "It has all the connections it can take.", 2),
    proxy.BodyTooLarge: Answer(413, "That is too large", "The request's body is larger than we pass on."),
    proxy.BodyStalled: Answer(408, "The request did not arrive whole", "Its body stopped coming."),
    proxy.ExchangeCut: Answer(401, "Signed out", "Your session ended while this request was waiting."),
    proxy.UpstreamSilent: Answer(504, "Your machine did not answer in time", "It may be busy. Please try again."),
    proxy.UpstreamError: Answer(502, "Your machine broke off its answer", "Please try again."),
}
"""The nearest class in an error's ancestry counts. A test walks every subclass and fails if one has no answer."""

UNEXPECTED: Final = Answer(500, "Something went wrong on our side", "We have been told. Please try again.")


def answer_for(fault: BaseException) -> Answer:
    """The row of the table for `fault`; UNEXPECTED for what nobody raised on purpose."""
    if isinstance(fault, SignInFailed):
        return Answer(fault.status, fault.title, fault.words, fault.retry_after)
    if isinstance(fault, TooOften):
        return replace(ANSWERS[TooOften], retry_after=fault.retry_after)
    if isinstance(fault, UnderMaintenance):
        answer = ANSWERS[UnderMaintenance]
        return replace(answer, words=f"{answer.words} {fault}".strip())
    if isinstance(fault, NotAdmitted):
        wording = WORDS[BY_STANDING[fault.standing]]
        return Answer(wording.status, wording.title, wording.words)
    if isinstance(fault, behind.ProvisioningFailed):
        return Answer(503, "Your machine could not be made yet", f"{fault.cause} We keep trying.", 10)
    if isinstance(fault, behind.CloudError) and type(fault) not in ANSWERS:
        return Answer(503, "Your machine could not be started", fault.words, 10)
    for kind in type(fault).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    return UNEXPECTED


def respond(fault: BaseException, kind: Kind, pages: Pages, *, diagnostic_id: str | None = None) -> web.Response:
    """A page for a navigation, RFC 9457 JSON for anything else. Never the text of the exception."""
    answer = answer_for(fault)
    diagnostic_id = diagnostic_id or uuid4().hex[:12]
    if kind in (Kind.NAVIGATION, Kind.SUBMISSION):
        page = pages.failure(
            status=answer.status,
            title=answer.title,
            words=answer.words,
            retry_url=fault.retry_url if isinstance(fault, SignInFailed) else None,
            diagnostic_id=diagnostic_id,
            retry_after=answer.retry_after,
        )
        response = of_page(page)
    else:
        response = problem(answer, diagnostic_id)
    if isinstance(fault, SignInFailed):
        for cookie in fault.set_cookies:
            response.headers.add("Set-Cookie", cookie)
    if isinstance(fault, TooOften):
        response.headers.update(fault.fields)
    return response


def problem(answer: Answer, diagnostic_id: str | None = None) -> web.Response:
    """An RFC 9457 problem, never cached."""
    body = {"type": "about:blank", "title": answer.title, "status": answer.status, "detail": answer.words}
    if diagnostic_id is not None:
        body["instance"] = f"urn:diagnostic:{diagnostic_id}"
    headers = {"Cache-Control": "no-store"}
    if answer.retry_after is not None:
        headers["Retry-After"] = str(answer.retry_after)
    if answer.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="my-jarvis"'
    return web.Response(
        body=json.dumps(body).encode(), status=answer.status, headers=headers, content_type="application/problem+json"
    )


def of_page(page: Page) -> web.Response:
    """A page as aiohttp sends it."""
    return web.Response(body=page.body, status=page.status, headers=page.headers)
