"""Who may sleep, and when; who sleeps and wakes too often."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.flap import FACTOR_CAP, OFTEN, WINDOW, Flap, flap, naps
from provisioner.idle import Candidate, overslept, quiet, sleeps_at
from provisioner.instance import State, UserId
from provisioner.offer import shipped
from provisioner.plans import Plan
from tests.parts.instances import ADA, GRACE, THEN, an_instance

AFTER = timedelta(minutes=15)
WEEK = timedelta(days=7)
FREE = replace(
    shipped().plans["free"], suspend_after=AFTER, stop_after=timedelta(days=7), awake_cap=timedelta(hours=12)
)
PRO = replace(FREE, suspend_after=timedelta(hours=1), stop_after=timedelta(days=30), awake_cap=timedelta(hours=48))
PLANS = {ADA: FREE, GRACE: PRO}


def times_of(user_id: UserId) -> Plan:
    return PLANS[user_id]


def candidate(*, keep_awake_until: datetime | None = None, **given: object) -> Candidate:
    return Candidate(instance=an_instance(**given), keep_awake_until=keep_awake_until)


@pytest.mark.parametrize(
    ("state", "quiet_for", "touched_ago", "sleeps"),
    [
        (State.ACTIVE, timedelta(minutes=15), None, True),
        (State.ACTIVE, timedelta(minutes=14, seconds=59), None, False),
        (State.ACTIVE, timedelta(hours=9), timedelta(seconds=1), False),  # hit here, not yet in the record
        (State.ACTIVE, timedelta(hours=9), timedelta(hours=8), True),
        (State.SUSPENDED, timedelta(hours=9), None, False),
        (State.WAKING, timedelta(hours=9), None, False),
    ],
)
def test_quiet(state: State, quiet_for: timedelta, touched_ago: timedelta | None, sleeps: bool) -> None:
    now = THEN + quiet_for
    touched = {} if touched_ago is None else {ADA: now - touched_ago}
    assert bool(quiet([candidate(state=state)], now=now, times_of=times_of, touched=touched, flaps={})) is sleeps


@pytest.mark.parametrize(
    ("given", "flaps", "quiet_for", "sleeps"),
    [
        ({"user_id": GRACE}, None, timedelta(minutes=59), False),
        ({"user_id": GRACE}, None, timedelta(minutes=60), True),
        ({"keep_awake_until": THEN + timedelta(hours=3)}, None, timedelta(hours=2, minutes=59), False),
        ({"keep_awake_until": THEN + timedelta(hours=3)}, None, timedelta(hours=3), True),
        ({"keep_awake_until": THEN + timedelta(minutes=1)}, None, timedelta(minutes=14), False),  # asked for less
        ({}, Flap(3, 2), timedelta(minutes=29), False),
        ({}, Flap(3, 2), timedelta(minutes=30), True),
        ({}, Flap(99, 1000), timedelta(hours=12), True),  # never beyond the cap
    ],
)
def test_plans_wishes_and_flapping_put_it_off(
    given: dict[str, object], flaps: Flap | None, quiet_for: timedelta, sleeps: bool
) -> None:
    found = quiet(
        [candidate(**given)],  # type: ignore[arg-type]
        now=THEN + quiet_for,
        times_of=times_of,
        touched={},
        flaps={} if flaps is None else {ADA: flaps},
    )
    assert bool(found) is sleeps


def test_overslept() -> None:
    sleeper = candidate(state=State.SUSPENDED)
    assert overslept([sleeper], now=THEN + WEEK, times_of=times_of) == [sleeper]
    assert overslept([sleeper], now=THEN + WEEK - timedelta(seconds=1), times_of=times_of) == []
    assert overslept([candidate(state=State.SUSPENDED, user_id=GRACE)], now=THEN + WEEK, times_of=times_of) == []
    assert overslept([candidate(state=State.STOPPED)], now=THEN + WEEK, times_of=times_of) == []


@given(st.timedeltas(timedelta(0), timedelta(days=2)), st.integers(0, 50))
def test_nothing_ever_makes_it_sleep_earlier_than_its_plan_says(asked: timedelta, count: int) -> None:
    at = sleeps_at(an_instance(), FREE, keep_awake_until=THEN + asked, flap=flap(count))
    assert at >= THEN + AFTER
    assert at <= THEN + max(asked, FREE.awake_cap)


@given(st.integers(0, 1000))
def test_flapping_grows_with_the_naps_and_has_an_end(count: int) -> None:
    found = flap(count)
    assert (found is None) is (count < OFTEN)
    if found is not None:
        assert 2 <= found.factor <= FACTOR_CAP
        later = flap(count + 1)
        assert later is not None
        assert later.factor >= found.factor


def test_flapping_settles_where_naps_and_patience_agree() -> None:
    """Something knocks a minute after each sleep, for ever: it ends in a few naps in six hours, not in ninety."""
    now, sleeps = THEN, []
    for _ in range(300):
        found = flap(naps(sleeps, now=now))
        now += AFTER * (found.factor if found else 1)
        sleeps.append((now, now + timedelta(minutes=1)))
        now += timedelta(minutes=1)
    assert naps(sleeps, now=now) <= 3 * OFTEN
    assert naps(sleeps, now=now + WINDOW) == 0


def test_a_long_sleep_is_no_nap() -> None:
    assert naps([(THEN, THEN + timedelta(minutes=4)), (THEN, THEN + timedelta(minutes=6))], now=THEN) == 1
