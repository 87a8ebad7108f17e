"""Times against promises."""

import json
import math

from bench.lifecycle.figures import TARGETS, TITLES, Times, missed, summary, table


def times(*added_ms: float) -> Times:
    return Times.of([ms / 1000 + 1.5 for ms in added_ms], 1.5)


def test_percentiles_are_of_what_was_added() -> None:
    hundred = times(*range(1, 101))
    assert [round(hundred.at(p) * 1000) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert round(times(7).at(50) * 1000) == 7


def test_who_failed_has_no_time_and_no_promise_is_kept() -> None:
    broken = Times.of([1.6, ValueError("503")], 1.5)
    assert math.isinf(broken.at(50))
    assert broken.failures == ["503"]
    assert [t.percent for t in missed({"wake_app": broken})] == [50, 95]
    assert math.isinf(Times.of([], 0).at(50))


def test_a_promise_is_kept_or_missed() -> None:
    assert missed({"wake_app": times(*[10] * 95, *[200] * 5)}) == []
    assert [t.percent for t in missed({"wake_app": times(*[20] * 95, *[200] * 5)})] == [50]
    assert [t.percent for t in missed({"wake_app": times(*[10] * 90, *[60] * 10)})] == [95]


def test_the_table_and_the_line_say_the_same() -> None:
    measured = {"wake_app": times(5, 6, 30), "claim": times(70)}
    told = table(measured)
    assert "p50 ≤ 15 ms (met), p95 ≤ 50 ms (met)" in told
    assert "p95 ≤ 60 ms (**missed**)" in told
    line = json.loads(json.dumps(summary(measured)))
    assert line["missed"] == ["claim p95"]
    assert (line["wake_app"]["count"], line["wake_app"]["p95_ms"]) == (3, 30.0)


def test_whatever_is_promised_is_measured() -> None:
    assert {target.what for target in TARGETS} == set(TITLES)
