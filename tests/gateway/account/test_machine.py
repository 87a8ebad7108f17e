"""How a machine is, in words that its owner reads."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.account.diary import Wake
from gateway.account.machine import awake_month, by_whom, next_words, sheet, wake_rows
from gateway.pages.account import STATE_WORDS
from gateway.pages.plans import duration
from gateway.pages.view import InstanceView
from provisioner.instance import State
from provisioner.timeline import Outlook

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


QUIET = Outlook(
    state=State.ACTIVE,
    sleeps_at=None,
    stops_at=None,
    kept_awake_by=None,
    keep_awake_until=None,
    may_extend_until=NOW + 12 * HOUR,
    flapping=None,
)


def seen(state: State) -> InstanceView:
    return InstanceView(state=state, steps=(), since=NOW - 3 * HOUR, error="No room.")


@pytest.mark.parametrize(
    ("outlook", "words"),
    [
        (replace(QUIET, sleeps_at=NOW + timedelta(minutes=14)), "It goes to sleep in 14 minutes if nobody uses it."),
        (replace(QUIET, sleeps_at=NOW), "Nobody uses it: it goes to sleep within a minute."),
        (
            replace(QUIET, sleeps_at=NOW - HOUR, kept_awake_by="a running agent"),
            "It would be asleep by now, but it is kept awake by a running agent.",
        ),
        (
            replace(QUIET, state=State.SUSPENDED, stops_at=NOW + 48 * HOUR),
            "It wakes when you open it, where it stopped; that is given up in 2 days.",
        ),
        (replace(QUIET, state=State.STOPPED), "It starts when you open it."),
        (replace(QUIET, state=State.WAKING), None),
    ],
)
def test_what_comes_next_and_why(outlook: Outlook, words: str | None) -> None:
    assert next_words(outlook, NOW) == words


def test_every_state_has_words_and_only_what_helps_may_be_pressed() -> None:
    """A machine that is being made cannot be restarted; one that sleeps cannot be kept awake."""
    assert set(STATE_WORDS) == set(State)
    told = {state: sheet(seen(state), replace(QUIET, state=state), now=NOW) for state in State}
    assert {s for s, t in told.items() if t.may_restart} == {State.ACTIVE, State.SUSPENDED, State.STOPPED}
    assert {s for s, t in told.items() if t.hours} == {State.ACTIVE, State.DRAINING}
    assert told[State.FAILED].outlook == "No room."
    assert told[State.ACTIVE].since == "3 hours ago"
    none = sheet(None, None, now=NOW)
    assert (none.state, none.may_restart, none.hours) == ("not made yet", False, ())


def test_a_plan_bounds_for_how_long_it_may_be_kept_awake() -> None:
    outlook = replace(QUIET, may_extend_until=NOW + 5 * HOUR)
    assert sheet(seen(State.ACTIVE), outlook, now=NOW).hours == [1, 4]
    assert sheet(seen(State.ACTIVE), replace(outlook, keep_awake_until=NOW + HOUR), now=NOW).kept == "in 1 hour"
    assert sheet(seen(State.ACTIVE), None, now=NOW).hours == []


def test_what_has_begun_is_told_before_the_record_says_so() -> None:
    """Right after a restart the page follows it instead of calling it switched off."""
    told = sheet(seen(State.STOPPED), None, now=NOW, begun=True)
    assert (told.state, told.moving) == ("waking up", True)


def test_wakes_are_drawn_to_one_scale() -> None:
    slow = Wake(at=NOW - HOUR, path="start", actor="visit", steps={"reserve": 1.0, "resume": 3.0})
    quick = Wake(at=NOW, path="resume", actor="operator:eve", steps={"resume": 0.4})
    rows = wake_rows([quick, slow], NOW)
    assert [(row.kind, row.took, row.by) for row in rows] == [
        ("Woke", "0.4 s", "the operator"),
        ("Started", "4.0 s", "a visit"),
    ]
    assert [(piece.name, piece.x, piece.width) for piece in rows[1].strip] == [("reserve", 0, 25), ("resume", 25, 75)]
    assert [piece.width for piece in rows[0].strip] == [10]


def test_the_month_is_a_column_a_day_and_their_sum() -> None:
    month = awake_month([2 * HOUR, timedelta(0), 6.5 * HOUR], NOW.replace(day=1))
    assert month.total == "8 h 30 min"
    assert [(round(bar.height, 2), bar.label) for bar in month.days] == [
        (0.31, "01 March: 2 h"),
        (0.0, "02 March: 0 min"),
        (1.0, "03 March: 6 h 30 min"),
    ]


def test_who_asked_for_a_wake_is_told_without_names_of_our_house() -> None:
    told = [by_whom(actor) for actor in ("visit", "operator:eve", "3f1c8c5e-0000-4000-8000-000000000000", "recovery")]
    assert told == ["a visit", "the operator", "you", "the gateway"]


def test_durations_are_written_as_people_say_them() -> None:
    spans = [timedelta(0), timedelta(minutes=15), timedelta(hours=3, minutes=5), timedelta(days=3)]
    assert [duration(span) for span in spans] == ["0 min", "15 min", "3 h 5 min", "72 h"]
