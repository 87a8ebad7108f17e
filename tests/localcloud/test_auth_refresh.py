"""Refresh tokens: the rules as tables, then raced, reused and killed over HTTP."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.auth.records import RefreshToken, Session
from localcloud.auth.refresh import Verdict, counting_token, genuine, judge_counting, judge_rotating, read_counting
from tests.parts.local_auth import ShiftedClock, auth_for_test, person_at


@pytest.fixture
def clock():
    return ShiftedClock()


@pytest.fixture
async def ada(tmp_path, clock):
    async with auth_for_test(tmp_path, now=clock) as auth, person_at(auth) as person:
        yield person


@pytest.fixture
async def counting(tmp_path, clock):
    settings = {"now": clock, "refresh_kind": "counter"}
    async with auth_for_test(tmp_path, **settings) as auth, person_at(auth) as person:
        yield person


NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEN = timedelta(seconds=10)


def token(name: str, *, parent: str | None = None, revoked: bool = False, age_s: float = 0) -> RefreshToken:
    then = NOW - timedelta(seconds=age_s)
    return RefreshToken(id=name, session_id="s", parent=parent, revoked=revoked, created_at=then, updated_at=then)


@pytest.mark.parametrize(
    ("presented", "active", "verdict"),
    [
        (token("b", parent="a"), token("b", parent="a"), Verdict.SWAP),
        (token("a", revoked=True), token("b", parent="a"), Verdict.REPEAT),
        (token("a", revoked=True, age_s=9999), token("b", parent="a"), Verdict.REPEAT),
        (token("a", revoked=True, age_s=10), token("c", parent="b"), Verdict.SWAP),
        (token("a", revoked=True, age_s=10.1), token("c", parent="b"), Verdict.KILL),
        (token("a", revoked=True, age_s=11), None, Verdict.KILL),
    ],
)
def test_rotating_rules(presented, active, verdict):
    assert judge_rotating(presented, active, now=NOW, reuse_interval=TEN) is verdict


def session(counter: int, *, age_s: float = 0) -> Session:
    then = NOW - timedelta(seconds=age_s)
    return Session(
        id=str(uuid4()), user_id="u", created_at=then, updated_at=then, refresh_key="00" * 32, refresh_counter=counter
    )


@pytest.mark.parametrize(
    ("behind", "age_s", "verdict"),
    [
        (-1, 0, Verdict.FOREIGN),
        (0, 9999, Verdict.SWAP),
        (1, 9999, Verdict.REPEAT),
        (2, 9, Verdict.REPEAT),
        (2, 10, Verdict.KILL),
    ],
)
def test_counting_rules(behind, age_s, verdict):
    now = session(5, age_s=age_s)
    assert judge_counting(5 - behind, now, now=NOW, reuse_interval=TEN) is verdict


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_counting_tokens_have_their_length_and_read_back(counter):
    """51 to 62 URL-safe characters, whatever the count."""
    issued = session(counter)
    text = counting_token(issued)
    assert 51 <= len(text) <= 62
    parts = read_counting(text)
    assert parts is not None
    assert (parts.session_id, parts.counter) == (issued.id, counter)
    assert genuine(parts, issued)
    assert not genuine(parts, replace(issued, refresh_key="11" * 32))


async def refreshed(person, refresh_token):
    response = await person.refresh(refresh_token)
    assert response.status_code == 200, response.text
    return response.json()["refresh_token"]


async def killed(person, refresh_token):
    response = await person.refresh(refresh_token)
    return (response.status_code, response.json()["error_code"])


async def test_a_raced_refresh_gives_both_the_same_new_token(ada):
    """Two replicas at once: one refresh token, two access tokens."""
    first = await ada.sign_in("ada@example.com")
    answers = await asyncio.gather(*(ada.refresh(first["refresh_token"]) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert answers[0].json()["refresh_token"] != first["refresh_token"]


async def test_a_lost_answer_can_be_asked_for_again_much_later(ada, clock):
    """One step behind is always forgiven."""
    first = (await ada.sign_in("ada@example.com"))["refresh_token"]
    second = await refreshed(ada, first)
    clock.advance(hours=5)
    assert await refreshed(ada, first) == second


async def test_an_older_ancestor_forks_within_the_interval(ada, clock):
    first = (await ada.sign_in("ada@example.com"))["refresh_token"]
    third = await refreshed(ada, await refreshed(ada, first))
    clock.advance(seconds=9)
    fork = await refreshed(ada, first)
    assert fork != third
    assert await refreshed(ada, third)
    assert await refreshed(ada, fork)


async def test_late_reuse_kills_the_family(ada, clock):
    """A stolen old token ends the session for everybody, and the access token lives on until it expires."""
    answer = await ada.sign_in("ada@example.com")
    third = await refreshed(ada, await refreshed(ada, answer["refresh_token"]))
    clock.advance(seconds=11)
    assert await killed(ada, answer["refresh_token"]) == (400, "refresh_token_already_used")
    clock.advance(seconds=11)
    assert await killed(ada, third) == (400, "refresh_token_already_used")
    assert (await ada.call("GET", "/user", answer["access_token"])).status_code == 200
    assert (await ada.sign_in("ada@example.com"))["user"]["id"] == answer["user"]["id"]


async def test_reuse_interval_is_a_switch(ada):
    await ada.pull("PATCH", "/project", {"reuse_interval_s": 0})
    first = (await ada.sign_in("ada@example.com"))["refresh_token"]
    await refreshed(ada, await refreshed(ada, first))
    assert await killed(ada, first) == (400, "refresh_token_already_used")


async def test_other_sessions_survive_the_death_of_one(ada, clock):
    phone = (await ada.sign_in("ada@example.com"))["refresh_token"]
    laptop = (await ada.sign_in("ada@example.com"))["refresh_token"]
    await refreshed(ada, await refreshed(ada, laptop))
    clock.advance(seconds=11)
    await killed(ada, laptop)
    assert await refreshed(ada, phone)


async def test_the_counting_kind_repeats_and_kills(counting, clock):
    """One step behind is answered with the current token; two steps, late, delete the session at once."""
    answer = await counting.sign_in("ada@example.com")
    first = answer["refresh_token"]
    assert 51 <= len(first) <= 62
    raced = await asyncio.gather(*(counting.refresh(first) for _ in range(4)))
    assert len({response.json()["refresh_token"] for response in raced}) == 1
    second = raced[0].json()["refresh_token"]
    third = await refreshed(counting, second)
    assert await refreshed(counting, first) == third
    clock.advance(seconds=11)
    assert await refreshed(counting, second) == third
    clock.advance(seconds=11)
    assert await killed(counting, first) == (400, "refresh_token_already_used")
    assert await killed(counting, third) == (400, "refresh_token_not_found")
    gone = await counting.call("GET", "/user", answer["access_token"])
    assert (gone.status_code, gone.json()["error_code"]) == (403, "session_not_found")


async def test_a_forged_counting_token_is_unknown(counting):
    genuine_token = (await counting.sign_in("ada@example.com"))["refresh_token"]
    forged = genuine_token[:-2] + ("AA" if genuine_token[-2:] != "AA" else "BB")
    assert await killed(counting, forged) == (400, "refresh_token_not_found")
