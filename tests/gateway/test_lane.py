"""Who may take the fast lane: whatever the core would have to think over may not."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lane import LOOK_EVERY_S, FastGate
from gateway.observe import Metrics
from gateway.proxy.asked import Asked, read_request
from gateway.proxy.errors import UpstreamError, UpstreamRefused
from gateway.proxy.relay import Passage
from gateway.session import cookie
from gateway.session.cookie import CookieNames
from gateway.session.identity import Identity
from provisioner.instance import Endpoint, Instance, UserId
from tests.parts.clock import ManualClock
from tests.parts.instances import ADA, THEN, an_instance

ID = "a" * 43
NAMES = CookieNames.for_scheme(secure=False)
MINE = f"jarvis={ID}"


def identity(email: str = "ada@example.com") -> Identity:
    return Identity(
        user_id=ADA,
        email=email,
        supabase_session_id=UUID(int=1),
        session=cookie.hash_of(ID),
        expires_at=THEN + timedelta(hours=1),
    )


class Sessions:
    """One session, Ada's; `ours` begins every token of ours."""

    names = NAMES

    def __init__(self) -> None:
        self.known: Identity | None = identity()
        self.looks = 0
        self.listeners: list[Callable[[bytes | None], None]] = []

    def when_ended(self, listener: Callable[[bytes | None], None]) -> None:
        self.listeners.append(listener)

    def peek(self, cookie_id: str) -> Identity | None:
        self.looks += 1
        return self.known if cookie_id == ID else None

    def bearer(self, authorization: str | None) -> str | None:
        return authorization if authorization and authorization.startswith("Bearer ours") else None


class Directory:
    def __init__(self) -> None:
        self.instance: Instance | None = an_instance()

    def ready(self, user_id: UserId) -> Instance | None:
        return self.instance


class Gate:
    def __init__(self) -> None:
        self.room = True
        self.made: list[tuple[str, str]] = []
        self.gone: list[UserId] = []

    def has_room(self, user_id: UserId) -> bool:
        return self.room

    def passage(self, identity: Identity, instance: Instance, *, client: str, host: str, bearer: bool) -> Passage:
        self.made.append((client, host))
        return Passage(endpoint=Endpoint("127.0.0.1", 1), key=identity.user_id)

    def failed(self, passage: Passage, user_id: UserId, fault: UpstreamError) -> None:
        self.gone.append(user_id)


class Limits:
    def __init__(self) -> None:
        self.wait: float | None = None

    def take(self, user_id: UserId) -> float | None:
        return self.wait


class Desk:
    """A FastGate and all it asks."""

    def __init__(self, header: str = "") -> None:
        self.sessions, self.directory, self.gate = Sessions(), Directory(), Gate()
        self.limits = Limits()
        self.clock, self.metrics = ManualClock(), Metrics()
        given: dict[str, Any] = {
            "sessions": self.sessions,
            "directory": self.directory,
            "gate": self.gate,
            "clock": self.clock,
            "metrics": self.metrics,
            "limits": self.limits,
            "client_ip_header": header,
            "elsewhere": lambda host: host == "account.x",
        }
        self.fast = FastGate(**given)

    def decide(self, fields: str = f"Cookie: {MINE}\r\n", target: str = "/", host: str = "x") -> Passage | None:
        return self.fast.decide(asked(fields, target, host), "1.2.3.4")


def asked(fields: str, target: str = "/", host: str = "x") -> Asked:
    return read_request(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode("latin-1"))


def test_a_known_session_with_a_ready_machine_passes() -> None:
    desk = Desk()
    passage = desk.decide()
    assert passage is not None
    assert desk.decide() is passage, "nothing changed: nothing is made anew"
    assert desk.gate.made == [("1.2.3.4", "x")]
    assert b'jarvis_requests_total{by="machine"} 2.0' in desk.metrics.text()
    assert b'jarvis_requests_total{by="machine"} 2.0' in desk.metrics.text()


@pytest.mark.parametrize(
    "target",
    [
        "/auth/login",
        "/auth/",
        "/welcome/waiting?x",
        "/_gateway/events",
        "/%61uth/login",
        "/auth%2flogin",
        "/%61%75%74%68%2F",
        "/%5f%67%61%74%65%77%61%79%2f",
    ],
)
def test_our_own_paths_are_the_cores(target: str) -> None:
    assert Desk().decide(target=target) is None


@pytest.mark.parametrize(
    "target", ["/", "/auth", "/authx/", "/a/auth/", "/a%20b", "//auth/login", "/%2561uth/", "/?/auth/"]
)
def test_other_paths_are_the_machines(target: str) -> None:
    assert Desk().decide(target=target) is not None


@pytest.mark.parametrize(
    "jar",
    [
        "",
        "a=b",
        f"jarvis={'b' * 43}",
        f"jarvis={ID}; jarvis={'b' * 43}",
        f"jarvis={'b' * 43}; a=b; jarvis={ID}",
        f"jarvis={ID}; jarvis={ID}",
        f"jarvis={ID}; jarvis =x",
        f"jarvis\t={'b' * 43}; jarvis={ID}",
        f"xjarvis={ID}",
        f"a=jarvis={ID}",
        f"a jarvis={ID}",
        f"jarvis={ID}x",
        f"jarvis={ID} ; a=b",
        f"jarvis={ID[:-1]}",
        f'jarvis="{ID}"',
        f"JARVIS={ID}",
    ],
)
def test_a_jar_with_any_doubt_about_it_is_the_cores(jar: str) -> None:
    desk = Desk()
    assert desk.decide(f"Cookie: {jar}\r\nX: y\r\n".replace("Cookie: \r\n", "")) is None
    assert desk.decide() is not None
    assert desk.decide(f"Cookie: {jar}\r\nX: y\r\n") is None, "nor once the session is known"


@given(
    st.lists(
        st.sampled_from(
            [MINE, f"jarvis={'b' * 43}", "jarvis", "=", ";", " ", "\t", "a=b", '"', "jarvis =x", f"x{MINE}", ID]
        ),
        max_size=8,
    ).map("".join)
)
def test_it_reads_no_jar_otherwise_than_the_core_does(jar: str) -> None:
    desk = Desk()
    if desk.decide(f"Cookie: {jar}\r\n") is not None:
        assert cookie.session_id([jar.strip(" \t")], NAMES) == ID


def test_what_changes_shows_at_once() -> None:
    desk = Desk()
    assert desk.decide()
    desk.directory.instance = None
    assert desk.decide() is None
    desk.directory.instance = an_instance(private_ip="127.9.9.9")
    assert desk.decide()
    desk.gate.room = False
    assert desk.decide() is None
    desk.gate.room = True
    desk.limits.wait = 1.0
    assert desk.decide() is None
    desk.limits.wait = None
    assert desk.decide(host="y")
    assert desk.decide(host="account.x") is None
    assert len(desk.gate.made) == 3


@pytest.mark.parametrize("told", [cookie.hash_of(ID), None])
def test_an_ended_session_is_out_at_once(told: bytes | None) -> None:
    desk = Desk()
    assert desk.decide()
    desk.sessions.known = None
    for listener in desk.sessions.listeners:
        listener(told)
    assert desk.decide() is None


async def test_a_session_is_looked_at_again_and_again() -> None:
    """Its token may end, and it must count as seen; but not for every request."""
    desk = Desk()
    for _ in range(5):
        assert desk.decide()
    assert desk.sessions.looks == 1
    await desk.clock.advance(seconds=LOOK_EVERY_S)
    desk.sessions.known = identity("lovelace@example.com")
    assert desk.decide()
    assert len(desk.gate.made) == 2, "the Machine hears of the new address"
    await desk.clock.advance(seconds=LOOK_EVERY_S)
    desk.sessions.known = None
    assert desk.decide() is None


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ("Authorization: Basic abc\r\n", True),
        ("Authorization: Bearer theirs\r\n", True),
        ("Authorization: Bearer ours\r\n", False),
        ("authorization:Bearer ours\r\n", False),
        ("Authorization: Basic abc\r\nAuthorization: Bearer ours\r\n", False),
    ],
)
def test_our_own_bearer_tokens_are_the_cores(fields: str, passes: bool) -> None:
    assert (Desk().decide(f"Cookie: {MINE}\r\n{fields}") is not None) == passes


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        ("", "1.2.3.4"),
        ("fly-client-ip: 5.6.7.8\r\n", "5.6.7.8"),
        ("Fly-Client-IP:\r\nFly-Client-IP: 9.9.9.9\r\n", "1.2.3.4"),
    ],
)
def test_the_edge_says_who_the_client_is(fields: str, client: str) -> None:
    desk = Desk("Fly-Client-IP")
    assert desk.decide(f"Cookie: {MINE}\r\n{fields}")
    assert desk.gate.made == [(client, "x")]


def test_a_failure_is_told_to_the_gate() -> None:
    desk = Desk()
    passage = desk.decide()
    assert passage is not None
    desk.fast.failed(passage, UpstreamRefused())
    assert desk.gate.gone == [ADA]


def test_a_service_workers_script_is_the_cores_to_judge() -> None:
    """One at the root could answer for the gateway's own paths, sign-out among them."""
    head = b"GET /sw.js HTTP/1.1\r\nHost: my-jarvis.app\r\n%b\r\n"
    assert read_request(head % b"").plain
    assert not read_request(head % b"Service-Worker: script\r\n").plain
