"""The bar never goes back and never lies; the JSON has exactly the promised shape."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pages.view import STEP_NAMES, StepState, StepView, bar, remaining, slow
from tests.gateway.pages.stage import ready, view


def step(state: str, took: float | None = None, usual: float | None = 1.0) -> StepView:
    return StepView(name="app", state=StepState(state), took_s=took, usual_s=usual)


@pytest.mark.parametrize(
    ("steps", "full"),
    [
        ([], 0.0),
        ([step("waiting"), step("waiting")], 0.0),
        ([step("running", 0.5), step("waiting")], 0.2),
        ([step("running", 1.0), step("waiting")], 0.4),
        ([step("running", 2.0), step("waiting")], 0.48),
        ([step("failed", 1.0), step("waiting")], 0.4),
        ([step("done", 9.0), step("waiting")], 0.5),
        ([step("done", 9.0, usual=3.0), step("waiting")], 0.75),
        ([step("done", 0.1, usual=None), step("waiting")], 0.5),
        ([step("done", 0.0, usual=0.0), step("waiting", usual=0.95)], 0.05),
        ([step("done"), step("done")], 1.0),
    ],
)
def test_each_step_owns_a_part_of_the_bar_as_long_as_its_usual_time(steps: list[StepView], full: float) -> None:
    assert bar(steps) == pytest.approx(full)


step_lists = st.lists(
    st.builds(
        StepView,
        name=st.sampled_from(STEP_NAMES),
        state=st.sampled_from(StepState),
        took_s=st.none() | st.floats(0, 600),
        usual_s=st.none() | st.floats(0, 600),
    ),
    min_size=1,
    max_size=6,
)


@given(step_lists, st.floats(0, 1))
def test_the_bar_stays_within_its_frame_and_never_goes_back(steps: list[StepView], before: float) -> None:
    """Whatever we hear, even of a new attempt that begins at the beginning, what is filled stays filled."""
    assert before <= bar(steps, before=before) <= 1


@given(step_lists)
def test_the_bar_is_full_only_when_every_step_is_done(steps: list[StepView]) -> None:
    assert (bar(steps) == 1) == all(s.state is StepState.DONE for s in steps)


@given(step_lists, st.data())
def test_whatever_progress_a_step_makes_the_bar_does_not_shrink(steps: list[StepView], data: st.DataObject) -> None:
    moving = data.draw(st.sampled_from([i for i, s in enumerate(steps)]))
    old = steps[moving]
    if old.state is StepState.RUNNING and data.draw(st.booleans(), label="only older"):
        new = replace(old, took_s=(old.took_s or 0) + data.draw(st.floats(0, 100)))
    else:
        new = replace(old, state=StepState.DONE)
    assert bar([*steps[:moving], new, *steps[moving + 1 :]]) >= bar(steps) - 1e-9


def test_a_late_step_slows_the_bar_down_without_a_jerk() -> None:
    """The last fifth of a step's part is filled ever more slowly, beginning at the speed it had."""
    speeds = [bar([step("running", t + 0.1)]) - bar([step("running", t)]) for t in (0.0, 0.5, 0.9, 1.0, 1.5, 3.0, 9.0)]
    assert speeds[0] == pytest.approx(speeds[2])
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(speeds))
    assert speeds[3] > speeds[2] * 0.6
    assert speeds[-1] > 0


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([step("done", 5.0), step("running", 0.4), step("waiting", usual=0.5)], 1.1),
        ([step("running", 7.0), step("waiting", usual=0.5)], 0.5),
        ([step("running", 0.1, usual=None), step("waiting")], None),
        ([step("failed", 0.1), step("waiting")], None),
        ([step("done"), step("done", usual=None)], 0.0),
    ],
)
def test_what_remains_is_the_usual_time_of_what_is_left(steps: list[StepView], left: float | None) -> None:
    assert remaining(steps) == (None if left is None else pytest.approx(left))


@pytest.mark.parametrize(
    ("took", "usual", "said"),
    [
        (1.7, 0.9, False),
        (1.9, 0.9, True),
        (0.5, 0.1, False),
        (0.7, 0.1, True),
        (7.9, 4.0, False),
        (8.1, 4.0, True),
        (99, None, False),
    ],
)
def test_slow_is_twice_the_usual_and_late_by_what_a_person_feels(took: float, usual: float | None, said: bool) -> None:
    assert slow([step("running", took, usual)]) is said


@pytest.mark.parametrize(
    ("took", "p95", "said"), [(2.9, 3.0, False), (3.1, 3.0, True), (1.4, 1.1, False), (1.6, 1.1, True)]
)
def test_slow_is_what_95_of_100_were_not(took: float, p95: float, said: bool) -> None:
    """Once we know how long nearly everybody waits, that decides; a tenth of a second over it is nothing to tell."""
    assert slow([replace(step("running", took, 1.0), slow_s=p95)]) is said


def test_the_json_is_exactly_what_outsiders_rely_on() -> None:
    told = view("network", took=0.12345, eta_s=1.0004, attempt=2).as_json()
    assert told == {
        "state": "waking",
        "ready": False,
        "steps": [
            {"name": "reserve", "state": "done", "took_s": 0.2, "usual_s": 0.2, "slow_s": 60.0},
            {"name": "resume", "state": "done", "took_s": 0.6, "usual_s": 0.6, "slow_s": 60.0},
            {"name": "network", "state": "running", "took_s": 0.123, "usual_s": 0.3, "slow_s": 60.0},
            {"name": "app", "state": "waiting", "took_s": None, "usual_s": 0.9, "slow_s": 60.0},
            {"name": "open", "state": "waiting", "took_s": None, "usual_s": 0.1, "slow_s": 60.0},
        ],
        "since": "2026-01-01T12:00:00.000+00:00",
        "eta_s": 1.0,
        "attempt": 2,
        "attempts": None,
        "given_up": False,
        "place": None,
        "error": None,
    }
    assert ready().as_json()["ready"] is True


def test_a_step_without_words_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="no step"):
        StepView(name="frobnicate")
