"""How long a machine was awake, and how its wakes went, told from the audit log."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.account.diary import AWAKE, Entry, Wake, awake_by_day, wakes
from provisioner.instance import State

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def at(day: int, hour: float) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour)


def entry(when: datetime, before: State | None, after: State, **given: object) -> Entry:
    return Entry(at=when, action="x", actor="visit", from_state=before, to_state=after, **given)  # type: ignore[arg-type]


def hours(entries: list[Entry], *, now: datetime, state_now: State | None, since: datetime = MONDAY) -> list[float]:
    days = awake_by_day(entries, since=since, now=now, state_now=state_now)
    return [day / timedelta(hours=1) for day in days]


def test_a_night_awake_counts_for_both_its_days() -> None:
    slept = [
        entry(at(0, 22), State.WAKING, State.ACTIVE),
        entry(at(1, 1.5), State.ACTIVE, State.DRAINING),
        entry(at(1, 2), State.DRAINING, State.SUSPENDING),
    ]
    assert hours(slept, now=at(2, 5), state_now=State.SUSPENDED) == [2, 2, 0]


@pytest.mark.parametrize(
    ("entries", "state_now", "told"),
    [
        ([], State.ACTIVE, [24, 5]),
        ([], State.SUSPENDED, [0, 0]),
        ([], None, [0, 0]),
        ([entry(at(1, 3), State.WAKING, State.ACTIVE)], State.ACTIVE, [0, 2]),
        ([entry(at(0, 6), State.DRAINING, State.SUSPENDING)], State.SUSPENDED, [6, 0]),
        ([entry(at(0, 6), None, State.PROVISIONING)], State.PROVISIONING, [0, 0]),
    ],
)
def test_what_was_before_and_what_still_goes_on_counts_too(
    entries: list[Entry], state_now: State | None, told: list[float]
) -> None:
    assert hours(entries, now=at(1, 5), state_now=state_now) == told


@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(State)), max_size=20), st.sampled_from(State))
def test_no_day_has_more_than_24_hours_and_nothing_is_lost(marks: list[tuple[int, State]], first: State) -> None:
    """Whatever the log says: the days together are the time awake, each within its bounds."""
    rows, state = [], first
    for minute, after in sorted(marks, key=lambda mark: mark[0]):
        rows.append(entry(MONDAY + timedelta(minutes=minute), state, after))
        state = after
    now = MONDAY + timedelta(minutes=5001)
    days = awake_by_day(rows, since=MONDAY, now=now, state_now=state)
    assert all(timedelta(0) <= day <= timedelta(days=1) for day in days)
    states = [first, *(row.to_state for row in rows)]
    times = [MONDAY, *(row.at for row in rows), now]
    awake = sum((times[i + 1] - times[i] for i, s in enumerate(states) if s in AWAKE), timedelta(0))
    assert sum(days, timedelta(0)) == awake


def test_the_last_wakes_with_their_steps_and_who_asked_for_them() -> None:
    steps = {"reserve": 0.1, "resume": 0.4}
    told = wakes(
        [
            Entry(at=at(0, 1), action="create", actor="visit", from_state=None, to_state=State.PROVISIONING),
            entry(at(0, 2), State.PROVISIONING, State.ACTIVE, path="provision", steps={"boot": 2.0}),
            entry(at(0, 3), State.ACTIVE, State.DRAINING),
            entry(at(0, 4), State.DRAINING, State.ACTIVE),  # a hit within the grace: nobody slept
            Entry(at=at(0, 5), action="wake", actor="queue", from_state=State.SUSPENDED, to_state=State.WAKING),
            Entry(
                at=at(0, 6),
                action="ready",
                actor="recovery",
                from_state=State.WAKING,
                to_state=State.ACTIVE,
                path="resume",
                steps=steps,
            ),
        ]
    )
    assert told == [
        Wake(at=at(0, 6), path="resume", actor="queue", steps=steps),
        Wake(at=at(0, 2), path="provision", actor="visit", steps={"boot": 2.0}),
    ]
    assert [wake.took_s for wake in told] == [0.5, 2.0]
