"""One attempt to sign in, kept in a sealed cookie."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session import flow
from gateway.session.cookie import CookieNames
from gateway.session.vault import Vault

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = CookieNames.for_scheme(secure=True)
VAULT = Vault({"k1": b"1" * 32}, purpose="flow-cookie")


def pending(count: int, next_path: str = "/") -> tuple[dict[str, str], list[flow.Flow]]:
    flows = [flow.begin(next_path, now=NOW + timedelta(seconds=n)) for n in range(count)]
    return dict(flow.to_cookie(each, NAMES, VAULT) for each in flows), flows


def test_an_attempt_comes_back_as_it_was() -> None:
    cookies, [attempt] = pending(1, "/notes?x=1")
    assert flow.find(attempt.state, cookies, NAMES, VAULT, now=NOW) == attempt


def test_its_secrets_are_not_shown() -> None:
    """Neither in the cookie's text nor in a log line."""
    cookies, [attempt] = pending(1)
    [value] = cookies.values()
    assert attempt.verifier not in base64.urlsafe_b64decode(value + "==").decode("latin-1")
    assert attempt.verifier not in repr(attempt)
    assert attempt.state not in repr(attempt)


def test_the_challenge_is_the_verifiers_s256() -> None:
    """RFC 7636, §4.2; the length and letters are those Supabase accepts."""
    attempt = flow.begin("/", now=NOW)
    digest = hashlib.sha256(attempt.verifier.encode()).digest()
    assert attempt.challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert 43 <= len(attempt.verifier) <= 128


def test_it_ends_after_ten_minutes() -> None:
    cookies, [attempt] = pending(1)
    assert flow.find(attempt.state, cookies, NAMES, VAULT, now=NOW + timedelta(minutes=9, seconds=59))
    assert flow.find(attempt.state, cookies, NAMES, VAULT, now=NOW + timedelta(minutes=10)) is None


def test_a_cookie_under_another_name_does_not_open() -> None:
    """An attacker who can plant cookies cannot rename one attempt into another."""
    cookies, [first, second] = pending(2)
    names = [flow.cookie_name(each.state, NAMES) for each in (first, second)]
    swapped = {names[0]: cookies[names[1]], names[1]: cookies[names[0]]}
    assert flow.find(first.state, swapped, NAMES, VAULT, now=NOW) is None


def test_a_rotated_key_opens_what_it_sealed() -> None:
    """Rotating the master key does not break sign-ins that are under way; retiring it does."""
    cookies, [attempt] = pending(1)
    rotated = Vault({"k2": b"2" * 32, "k1": b"1" * 32}, purpose="flow-cookie")
    retired = Vault({"k2": b"2" * 32}, purpose="flow-cookie")
    assert flow.find(attempt.state, cookies, NAMES, rotated, now=NOW) == attempt
    assert flow.find(attempt.state, cookies, NAMES, retired, now=NOW) is None


def test_the_oldest_attempts_make_room() -> None:
    cookies, flows = pending(5)
    assert flow.surplus(cookies, "v" * 300, VAULT, now=NOW) == [flow.cookie_name(flows[0].state, NAMES)]


def test_what_no_longer_opens_goes_first() -> None:
    cookies, _ = pending(2)
    assert flow.surplus(cookies | {"__Host-jarvis-flow-AAAAAAAA": "junk"}, "v", VAULT, now=NOW) == [
        "__Host-jarvis-flow-AAAAAAAA"
    ]


@pytest.mark.parametrize("length", [10, 700, 1500])
def test_all_attempts_together_fit_beside_an_apps_cookies(length: int) -> None:
    cookies, _ = pending(4, "/" + "n" * (length - 1))
    _, new = flow.to_cookie(flow.begin("/" + "n" * (length - 1), now=NOW), NAMES, VAULT)
    gone = flow.surplus(cookies, new, VAULT, now=NOW)
    kept = sum(len(value) for name, value in cookies.items() if name not in gone) + len(new)
    assert kept <= flow.MAX_PENDING_BYTES


@given(st.text(max_size=100))
def test_no_cookie_value_breaks_the_opener(value: str) -> None:
    state = "A" * 32
    name = flow.cookie_name(state, NAMES)
    assert flow.find(state, {name: value}, NAMES, VAULT, now=NOW) is None


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=63))
def test_no_letter_of_a_sealed_attempt_can_be_changed(at: int, letter: int) -> None:
    cookies, [attempt] = pending(1)
    [(name, value)] = cookies.items()
    at %= len(value)
    changed = value[:at] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[letter] + value[at + 1 :]
    found = flow.find(attempt.state, {name: changed}, NAMES, VAULT, now=NOW)
    assert found is None or found == attempt  # the last letter may carry bits that mean nothing


@given(st.integers(0, 2), st.integers(0, 31), st.sampled_from("AZaz09-_"), st.sampled_from(["", "A", "\n", " "]))
def test_only_the_whole_state_opens_an_attempt(which: int, at: int, letter: str, more: str) -> None:
    """One letter off, too long, or another attempt's cookie under its name: nothing opens."""
    cookies, flows = pending(3)
    state = flows[which].state
    shown = state[:at] + letter + state[at + 1 :] + more
    found = flow.find(shown, cookies, NAMES, VAULT, now=NOW)
    assert found == (flows[which] if shown == state else None)


@given(st.permutations(range(3)))
def test_each_attempt_opens_under_its_own_name_alone(order: list[int]) -> None:
    cookies, flows = pending(3)
    names = [flow.cookie_name(each.state, NAMES) for each in flows]
    mixed = {name: cookies[names[other]] for name, other in zip(names, order, strict=True)}
    for number, other in enumerate(order):
        found = flow.find(flows[number].state, mixed, NAMES, VAULT, now=NOW)
        assert found == (flows[number] if number == other else None)
        assert flow.from_cookie(names[number], mixed[names[number]], VAULT, now=NOW) == found
