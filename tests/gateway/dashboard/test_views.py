"""What the pages say, from what was found."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dashboard.charts import LEFT, RIGHT, WIDTH, columns
from gateway.dashboard.drawing import marked, told
from gateway.dashboard.rollouts import orders, outlook, steps
from gateway.dashboard.views import fly_chart
from gateway.overview.book import Depth, FlyCalls
from gateway.overview.glance import Figures
from gateway.overview.needs import needs_of_rollout
from provisioner.images import Rollout, RolloutState, Tally

NOW = datetime(2026, 11, 25, 20, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rollout(state: RolloutState, *, step: int = 1, minutes: float = 4) -> Rollout:
    since = NOW - timedelta(minutes=minutes)
    return Rollout(
        id=uuid4(),
        state=state,
        image="golden@sha256:new",
        golden_image="golden@sha256:old",
        base_image="golden@sha256:old",
        steps=(1, 10, 100),
        step=step,
        tolerance=0.1,
        proof=3,
        soak=timedelta(minutes=10),
        hurry=False,
        actor="operator:ada",
        why="1 of 3 did not come up",
        created_at=since,
        state_since=since,
        step_since=since,
    )


def tally(*, ready: int = 0, cohort: int = 10, left: int = 5) -> Tally:
    return Tally(ready=ready, failed=0, moved=0, cohort=cohort, left=left)


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        (RolloutState.RUNNING, ["Pause", "Take it back"]),
        (RolloutState.PAUSED, ["Resume", "Take it back"]),
        (RolloutState.HALTED, ["Resume", "Take it back"]),
        (RolloutState.DONE, ["Take it back"]),
        (RolloutState.RETURNING, []),
        (RolloutState.RETURNED, []),
    ],
)
def test_only_what_may_be_done_to_a_rollout_is_offered(state: RolloutState, offered: list[str]) -> None:
    assert [order["label"] for order in orders(rollout(state))] == offered


def test_the_steps_of_a_rollout() -> None:
    assert steps(rollout(RolloutState.RUNNING)) == [(1, "done"), (10, "now"), (100, "to come")]
    assert {how for _, how in steps(rollout(RolloutState.DONE, step=2))} == {"done"}


@pytest.mark.parametrize(
    ("given", "counted", "said"),
    [
        (rollout(RolloutState.RUNNING), tally(ready=1), "100 %, comes when 3 came up (1 so far) and 6 more minutes"),
        (rollout(RolloutState.RUNNING), tally(ready=3), "comes when 6 more minutes have passed."),
        (rollout(RolloutState.RUNNING, minutes=20), tally(ready=0, cohort=1), "when 1 came up (0 so far)."),
        (rollout(RolloutState.RUNNING, minutes=20, step=2), tally(ready=3), "It is done within seconds."),
        (rollout(RolloutState.PAUSED), tally(), "until somebody resumes it"),
        (rollout(RolloutState.HALTED), tally(), "It halted by itself"),
        (rollout(RolloutState.DONE), tally(left=0), "Everybody has it."),
        (rollout(RolloutState.DONE), tally(left=2), "2 still have the former image"),
        (rollout(RolloutState.RETURNING), tally(left=7), "7 still run it"),
        (rollout(RolloutState.RETURNED), tally(left=0), "Nobody runs it any more."),
    ],
)
def test_what_comes_next_of_a_rollout(given: Rollout, counted: Tally, said: str) -> None:
    assert said in outlook(given, counted, NOW)


def test_only_a_halted_rollout_needs_somebody() -> None:
    assert [state for state in RolloutState if needs_of_rollout(rollout(state))] == [RolloutState.HALTED]
    (need,) = needs_of_rollout(rollout(RolloutState.HALTED))
    assert need.fix is not None
    assert (need.fix.path, bool(need.fix.confirm)) == ("/v1/rollout/back", True)


def figures(*counts: tuple[int, str, int]) -> Figures:
    hour = NOW.replace(minute=0)
    fly = [FlyCalls(hour=hour - ago * HOUR, ended=ended, n=n) for ago, ended, n in counts]
    depth = Depth(waiting=0, dead=0, oldest=None)
    return Figures(since=NOW - 24 * HOUR, until=NOW, runs=[], failures=[], fly=fly, depth=depth)


def test_of_many_classes_of_failures_three_are_drawn_each_for_itself() -> None:
    drawn = fly_chart(figures((0, "answered", 90), *((n, name, 9 - n) for n, name in enumerate("ABCDE")), (0, "D", 1)))
    assert drawn["legend"] == ["A", "B", "C", "others"]
    assert drawn["classes"] == [("A", 9), ("B", 8), ("C", 7), ("D", 7), ("E", 5)]
    assert drawn["all"] == 90 + 9 + 8 + 7 + 6 + 5 + 1


def test_the_hour_that_has_begun_has_a_whole_column() -> None:
    drawn = str(fly_chart(figures((0, "A", 3), (24, "A", 1)))["svg"])
    placed = [tuple(map(float, each)) for each in re.findall(r'x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)]
    assert len(placed) == 2
    assert all(x >= LEFT and x + width <= WIDTH - RIGHT for x, width in placed)


def test_where_no_call_failed_there_is_no_chart() -> None:
    assert fly_chart(figures((0, "answered", 4), (3, "answered", 5))) | {"legend": None} == {
        "svg": None,
        "legend": None,
        "classes": [],
        "all": 9,
    }


@given(st.lists(st.tuples(st.integers(0, 24), st.sampled_from("AB<"), st.integers(1, 10**9)), min_size=1))
def test_columns_stand_on_each_other_within_the_picture(counts: list[tuple[int, str, int]]) -> None:
    """Whatever happened; and a name never becomes markup."""
    series: dict[str, dict[datetime, float]] = {}
    for ago, name, n in counts:
        series.setdefault(name, {})[NOW.replace(minute=0) - ago * HOUR] = n
    points = {name: sorted(hours.items()) for name, hours in series.items()}
    since = NOW.replace(minute=0) - 24 * HOUR
    svg = str(columns(points, since=since, until=NOW, span=HOUR, label="<calls>"))
    assert "<<" not in svg
    assert "<calls>" not in svg
    rects = svg.split("<rect")[1:]
    assert len(rects) == sum(len(hours) for hours in series.values())
    for rect in rects:
        facts = dict(pair.split('="') for pair in rect.split(">")[0].replace('" ', '"\0').rstrip('"').split('"\0'))
        y, height = float(facts["y"]), float(facts["height"])
        assert y >= 11
        assert height >= 0
        assert y + height <= 167


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("{}", ""),
        ('{"machine_id": "m1", "minutes": 15}', "machine id m1, minutes 15"),
        ('{"steps": {"app": 2.4024071379990346}, "why": null}', "steps (app 2.4), why null"),
        ('{"until": "2026-11-25T21:01:36.301232+00:00"}', "until 2026-11-25 21:01:36 UTC"),
        ('{"at": ["<b>"]}', 'at ["<b>"]'),
    ],
)
def test_the_detail_of_a_row_is_told_in_words(detail: str, said: str) -> None:
    assert told(detail) == said


def test_only_our_own_marks_become_markup() -> None:
    assert marked("*Here*: `a < b`, <b>") == "<em>Here</em>: <code>a &lt; b</code>, &lt;b&gt;"
