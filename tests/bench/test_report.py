"""docs/performance.md, from figures."""

from dataclasses import replace

from bench.figures import Rounds
from bench.profile import Profile, Share
from bench.report import Circumstances, notes_of, written_report
from bench.targets import NGINX, Lane

QUIET = Circumstances(
    day="2026-11-23",
    machine={"cores": "2", "CPython": "3.11.7"},
    versions={NGINX: "1.22.1"},
    rounds=5,
    load_before=0.1,
    took_s=840,
    troubles=[],
)


def measured(*systems: tuple[str, float]) -> Rounds:
    rounds = Rounds()
    for system, cpu in systems:
        rounds.add(system, {"get_cpu_us": cpu})
    return rounds


def test_each_lane_that_was_measured_has_its_columns() -> None:
    rounds = measured((Lane.CORE.system, 60.0), (Lane.FAST.system, 30.0), (NGINX, 20.0))
    both = written_report(rounds, [Lane.CORE, Lane.FAST], QUIET, {}, "")
    assert "| small GET, CPU | nginx | µs | 20.0 | 60.0 | 3.00 | ≤ 3.2 | yes | 30.0 | 1.50 | ≤ 2 | yes |" in both
    alone = written_report(rounds, [Lane.CORE], QUIET, {}, "")
    assert "| small GET, CPU | nginx | µs | 20.0 | 60.0 | 3.00 | ≤ 3.2 | yes |\n" in alone


def test_what_is_missed_or_missing_is_seen_at_once() -> None:
    document = written_report(measured((Lane.CORE.system, 90.0), (NGINX, 20.0)), [Lane.CORE], QUIET, {}, "")
    assert "| 90.0 | 4.50 | ≤ 3.2 | **no** |" in document
    assert "| memory growth, stalled 1 GiB reader or upstream | – | MB | – | – | – | ≤ 8 | **no** |" in document


def test_a_busy_machine_is_named() -> None:
    rounds = measured((Lane.CORE.system, 90.0), (NGINX, 20.0))
    assert "Others used" not in written_report(rounds, [Lane.CORE], QUIET, {}, "")
    assert "Others used" in written_report(rounds, [Lane.CORE], replace(QUIET, load_before=3.0), {}, "")


def test_no_place_of_the_template_is_left_open() -> None:
    profile = Profile(shares=[Share("take (a.py)", 0.5, 0.5)], rooms=[("a", 0.5)], libraries=[("[kernel]", 0.3)])
    document = written_report(measured((NGINX, 20.0)), [Lane.CORE], QUIET, {Lane.CORE: profile}, "")
    assert "@" not in document
    assert "| 50.0% | 50.0% | `take (a.py)` |" in document


def test_notes_written_by_people_outlive_the_next_run() -> None:
    """The reason why a target is missed is worth more than the figure; nobody writes it twice."""
    first = written_report(measured((NGINX, 20.0)), [Lane.CORE], QUIET, {}, "")
    assert notes_of(first) == ""
    second = written_report(measured((NGINX, 20.0)), [Lane.CORE], QUIET, {}, "p99 waits for the collector.")
    assert notes_of(second) == "p99 waits for the collector."
    assert notes_of("") == ""


def test_the_guards_figures_are_held_against_their_targets() -> None:
    document = written_report(measured((NGINX, 20.0)), [Lane.CORE], QUIET, {}, "", {"ready_ms": 120.0, "rss_mb": 36.0})
    assert "| from spawn to the first answer, ms | 120 | ≤ 200 | yes |" in document
    assert "| resident memory then, MB | 36.0 | ≤ 35 | **no** |" in document
    assert "| CPU added to a small request, one connection, µs | – | ≤ 60 | **no** |" in document


def test_what_was_put_together_says_so() -> None:
    rounds = measured((NGINX, 20.0))
    assert "Put together" not in written_report(rounds, [Lane.CORE], QUIET, {}, "")
    assert "Put together from 3 runs" in written_report(rounds, [Lane.CORE], replace(QUIET, pieces=3), {}, "")
