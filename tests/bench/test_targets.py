"""Targets against measured figures."""

import json

import pytest

from bench.figures import Rounds
from bench.targets import CHP, NGINX, TARGETS, Lane, Target, judge, summary

KEYS = [
    "small_get_cpu_vs_nginx",
    "req_s_vs_chp",
    "p99_vs_chp",
    "churn_vs_chp",
    "download_vs_nginx",
    "upload_length_vs_nginx",
    "upload_chunked_vs_nginx",
    "websocket_cpu_vs_nginx",
    "idle_ws_rss_vs_chp",
    "sse_delay_vs_nginx",
    "stalled_reader_growth_mb",
]


def target(key: str) -> Target:
    return next(target for target in TARGETS if target.key == key)


def measured(**figures: tuple[float, float | None]) -> Rounds:
    """Ours and the peer's, by figure, for the core and both peers."""
    rounds = Rounds()
    for figure, (ours, peer) in figures.items():
        rounds.add(Lane.CORE.system, {figure: ours})
        if peer is not None:
            rounds.add(NGINX, {figure: peer})
            rounds.add(CHP, {figure: peer})
    return rounds


@pytest.mark.parametrize(
    ("key", "figure", "ours", "peer", "core", "fast"),
    [
        ("small_get_cpu_vs_nginx", "get_cpu_us", 40.0, 20.0, True, True),  # exactly 2.0
        ("small_get_cpu_vs_nginx", "get_cpu_us", 60.0, 20.0, True, False),
        ("small_get_cpu_vs_nginx", "get_cpu_us", 66.0, 20.0, False, False),
        ("req_s_vs_chp", "req_s", 30_000.0, 7_000.0, True, True),
        ("req_s_vs_chp", "req_s", 20_000.0, 7_000.0, True, False),
        ("req_s_vs_chp", "req_s", 7_000.0, 7_000.0, False, False),
        ("stalled_reader_growth_mb", "stalled_mb", 5.0, None, True, False),
    ],
)
def test_a_target_holds_on_the_right_side_of_its_number(
    key: str, figure: str, ours: float, peer: float | None, core: bool, fast: bool
) -> None:
    rounds = measured(**{figure: (ours, peer)})
    assert judge(target(key), Lane.CORE, rounds).holds is core
    assert judge(target(key), Lane.CORE, rounds, must_of=Lane.FAST).holds is fast


def test_what_was_not_measured_does_not_hold() -> None:
    verdicts = [judge(each, Lane.CORE, Rounds()) for each in TARGETS]
    assert not any(verdict.holds for verdict in verdicts)
    assert {verdict.ratio for verdict in verdicts} == {None}


def test_the_summary_is_what_the_promise_says() -> None:
    """One JSON object with a fixed set of rows, each held against the fast lane's number."""
    told = json.loads(json.dumps(summary(Lane.CORE, measured(get_cpu_us=(45.87, 16.7), stalled_mb=(1.0, None)))))
    assert list(told) == KEYS
    row = {"ours": 45.87, "peer": 16.7, "ratio": 2.747, "must": 2.0, "holds": False}
    assert told["small_get_cpu_vs_nginx"] == row
    assert told["stalled_reader_growth_mb"] == {"ours": 1.0, "peer": None, "ratio": 1.0, "must": 4, "holds": True}
    assert told["req_s_vs_chp"] == {"ours": None, "peer": None, "ratio": None, "must": 4, "holds": False}
