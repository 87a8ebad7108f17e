"""Who gets a page and who gets JSON; what a Machine is told about the way."""

import pytest
from multidict import CIMultiDict

from gateway.request import Kind, client_ip, forwarded, is_reserved, kind_of, wants_root_worker

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(
    ("method", "headers", "kind"),
    [
        ("GET", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, Kind.NAVIGATION),
        ("POST", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, Kind.SUBMISSION),
        ("GET", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, Kind.CALL),
        ("GET", {"Sec-Fetch-Mode": "cors", **BROWSER}, Kind.CALL),
        ("GET", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, Kind.CALL),
        ("GET", BROWSER, Kind.NAVIGATION),
        ("HEAD", BROWSER, Kind.NAVIGATION),
        ("POST", BROWSER, Kind.CALL),
        ("GET", {"Accept": "*/*"}, Kind.CALL),  # curl
        ("GET", {"Accept": "application/json"}, Kind.CALL),
        ("GET", {}, Kind.CALL),
        ("GET", {"Upgrade": "WebSocket", "Sec-Fetch-Mode": "websocket"}, Kind.WEBSOCKET),
    ],
)
def test_kind_of(method: str, headers: dict[str, str], kind: Kind) -> None:
    assert kind_of(method, CIMultiDict(headers)) is kind


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("/auth/login", True),
        ("/welcome/waiting", True),
        ("/_gateway/events", True),
        ("/auth", False),
        ("/authors", False),
        ("/_gatewayx/", False),
        ("/", False),
        ("/x/auth/login", False),
    ],
)
def test_reserved_paths(path: str, reserved: bool) -> None:
    assert is_reserved(path) is reserved


def test_a_client_names_its_own_address_only_through_a_trusted_edge() -> None:
    told = CIMultiDict({"Fly-Client-IP": "203.0.113.9", "X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"})
    assert client_ip("10.0.0.1", told, "") == "10.0.0.1"
    assert client_ip("10.0.0.1", told, "Fly-Client-IP") == "203.0.113.9"
    assert client_ip("10.0.0.1", CIMultiDict(), "Fly-Client-IP") == "10.0.0.1"
    assert client_ip(None, CIMultiDict(), "") == ""


@pytest.mark.parametrize(
    ("client", "node"), [("203.0.113.9", "203.0.113.9"), ("2001:db8::1", '"[2001:db8::1]"'), ("", "unknown")]
)
def test_forwarded_in_both_forms(client: str, node: str) -> None:
    fields = dict(forwarded(client, "my-jarvis.app", "https"))
    assert fields[b"Forwarded"] == f'for={node};host="my-jarvis.app";proto=https'.encode()
    assert fields[b"X-Forwarded-For"] == client.encode()
    assert (fields[b"X-Forwarded-Host"], fields[b"X-Forwarded-Proto"]) == (b"my-jarvis.app", b"https")


def test_a_host_cannot_break_out_of_its_quotes() -> None:
    fields = dict(forwarded("", 'a";for=evil', "http"))
    assert fields[b"Forwarded"] == b'for=unknown;host="a\\";for=evil";proto=http'


@pytest.mark.parametrize(
    ("path", "refused"),
    [("/sw.js", True), ("/", True), ("/%73w.js", True), ("/app/sw.js", False), ("/auth/sw.js", False), ("", True)],
)
def test_a_service_worker_that_could_answer_for_the_gateway_is_known(path: str, refused: bool) -> None:
    """In a folder it answers for that folder alone."""
    assert wants_root_worker(path, {"Service-Worker": "script"}) is refused
    assert not wants_root_worker(path, {})
