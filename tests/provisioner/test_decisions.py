"""The small pure decisions: how long to wait, what things are called, what a waiting user sees."""

import re
from uuid import UUID

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import naming
from provisioner.backoff import backoff
from provisioner.guard_keys import GuardKeys, derive
from provisioner.instance import Endpoint, UserId
from provisioner.probe import endpoint_of
from provisioner.progress import PROVISION, WAKE, Progress
from tests.parts.clock import ManualClock
from tests.parts.instances import ADA, THEN, an_instance


@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(10, 1000), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_stays_under_its_cap_and_never_hammers(
    attempt: int, first: float, cap: float, chance: float
) -> None:
    wait = backoff(attempt, first=first, cap=cap, chance=chance)
    assert 0 < wait <= cap
    assert wait >= min(cap, first) / 2
    assert backoff(attempt + 1, first=first, cap=cap, chance=chance) >= wait


@given(st.uuids())
def test_names_are_what_fly_takes(user: UUID) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,62}", naming.machine_name("production", UserId(user)))
    assert re.fullmatch(r"[a-z0-9_]{1,30}", naming.volume_name(UserId(user)))


@given(st.uuids(), st.uuids())
def test_a_machines_key_opens_no_other_machine(one: UUID, other: UUID) -> None:
    master = b"m" * 32
    assert (derive(master, one) == derive(master, other)) is (one == other)
    assert len(derive(master, one)) == 32


def test_an_assertion_names_machine_and_user_and_is_short() -> None:
    """…and is signed with the oldest key that is kept, the only one that a Machine of old knows."""
    keys = GuardKeys({"new": b"n" * 32, "old": b"o" * 32})
    instance = an_instance()
    token = keys.assertion(instance, now=THEN)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": "old"}
    claims = jwt.decode(
        token, derive(b"o" * 32, instance.id), algorithms=["HS256"], options={"verify_exp": False, "verify_aud": False}
    )
    assert claims == {
        "sub": str(ADA),
        "email": "ada@example.com",
        "aud": instance.machine_id,
        "iat": int(THEN.timestamp()),
        "exp": int(THEN.timestamp()) + 300,
    }
    assert keys.for_machine(instance.id).count(":") == 2
    assert "nnnn" not in repr(keys)


@pytest.mark.parametrize(
    ("private_ip", "endpoint"),
    [
        ("fdaa:0:18:a7b:7d:2:5a1c:2", Endpoint("fdaa:0:18:a7b:7d:2:5a1c:2", 8080)),
        ("127.64.0.9", Endpoint("127.64.0.9", 8080)),
        ("127.0.0.1:4711", Endpoint("127.0.0.1", 4711)),
    ],
)
def test_endpoint_of(private_ip: str, endpoint: Endpoint) -> None:
    assert endpoint_of(private_ip, guard_port=8080) == endpoint


async def test_progress_moves_forward_only() -> None:
    """The bar of a loading page never goes back, not even when an attempt fails and another begins."""
    clock = ManualClock()
    progress = Progress("provision", PROVISION, clock)
    await clock.advance(seconds=1)
    progress.reach("network")
    await clock.advance(seconds=2)
    progress.reach("boot")
    progress.again("No room.")
    assert [(s.name, s.state, s.took_s) for s in progress.steps()] == [
        ("reserve", "done", 1.0),
        ("boot", "done", 0.0),
        ("network", "running", 2.0),
        ("app", "waiting", None),
        ("open", "waiting", None),
    ]
    progress.finish()
    assert all(s.state == "done" for s in progress.steps())


async def test_progress_tells_its_watchers() -> None:
    progress = Progress("provision", PROVISION, ManualClock())
    progress.become("resume", WAKE)
    assert [s.name for s in progress.steps()] == list(WAKE)
    progress.fail("no room")
    await progress.changed()
    assert next(s.state for s in progress.steps()) == "failed"
