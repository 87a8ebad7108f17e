"""Every failure has an answer, in the form that its sender can read."""

import json
from collections.abc import Iterator

import pytest

from gateway import errors
from gateway.pages.plans import PLANS
from gateway.pages.render import Pages
from gateway.proxy.errors import UpstreamError
from gateway.request import Kind
from gateway.session.failures import SignInFailed
from gateway.session.identity import SessionError
from provisioner.errors import CloudError, ProvisionerError, ProvisioningFailed


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from subclasses(sub)


FAMILIES = (errors.GatewayError, SessionError, ProvisionerError, UpstreamError)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_failure_has_a_row(family: type[Exception]) -> None:
    for kind in subclasses(family):
        assert kind is SignInFailed or any(ancestor in errors.ANSWERS for ancestor in kind.__mro__), kind


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(plans=PLANS)


def test_a_navigation_gets_a_page_and_a_call_gets_a_problem(pages: Pages) -> None:
    page = errors.respond(errors.TooManyHeld(), Kind.NAVIGATION, pages)
    assert (page.status, page.content_type) == (503, "text/html")
    call = errors.respond(errors.TooManyHeld(), Kind.CALL, pages, diagnostic_id="abc")
    assert (call.status, call.content_type) == (503, "application/problem+json")
    assert call.headers["Retry-After"] == "2"
    assert call.headers["Cache-Control"] == "no-store"
    assert isinstance(call.body, bytes)
    body = json.loads(call.body)
    assert (body["status"], body["instance"]) == (503, "urn:diagnostic:abc")


@pytest.mark.parametrize("kind", Kind)
def test_the_text_of_an_exception_never_leaves_us(pages: Pages, kind: Kind) -> None:
    secret = "postgresql://gateway:hunter2@db"
    for fault in (RuntimeError(secret), CloudError(secret), UpstreamErrorOf(secret), errors.GatewayError(secret)):
        body = errors.respond(fault, kind, pages).body
        assert isinstance(body, bytes)
        assert b"hunter2" not in body


class UpstreamErrorOf(UpstreamError):
    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)
        self.sent = True


def test_a_waiting_user_reads_the_cause(pages: Pages) -> None:
    body = errors.respond(ProvisioningFailed("No room in this region."), Kind.CALL, pages).body
    assert isinstance(body, bytes)
    assert b"No room in this region." in body


def test_a_401_says_how_to_authenticate(pages: Pages) -> None:
    assert errors.problem(errors.ANSWERS[errors.NotSignedIn]).headers["WWW-Authenticate"].startswith("Bearer")
