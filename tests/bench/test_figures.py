"""Numbers out of rounds."""

import pytest

from bench.figures import Rounds, median_ratio, spread, written


def test_a_ratio_is_taken_inside_each_round_so_that_a_slow_round_cancels_out() -> None:
    """The machine was three times slower in the second round: both sides were, and nothing is to be seen."""
    rounds = Rounds()
    for factor in (1, 3, 1):
        rounds.add("ours", {"cpu_us": 40.0 * factor})
        rounds.add("peer", {"cpu_us": 20.0 * factor})
    assert rounds.ratio("cpu_us", "ours", "peer") == 2.0
    assert rounds.median("cpu_us", "ours") == 40.0


@pytest.mark.parametrize(
    ("ours", "peer", "ratio"),
    [
        ([1.0, 2.0, 9.0], [1.0, 1.0, 1.0], 2.0),
        ([1.0, 2.0, 9.0], [1.0], 1.0),  # pairs only
        ([1.0, 3.0], [0.0, 1.0], 3.0),  # nothing can be said against zero
        ([], [1.0], None),
        ([1.0], [], None),
    ],
)
def test_the_ratio_is_the_median_of_the_pairs(ours: list[float], peer: list[float], ratio: float | None) -> None:
    assert median_ratio(ours, peer) == ratio


def test_what_was_not_measured_has_no_median_and_no_ratio() -> None:
    rounds = Rounds()
    rounds.add("ours", {"req_s": 1.0})
    assert (rounds.median("req_s", "peer"), rounds.ratio("req_s", "ours", "peer")) == (None, None)
    assert rounds.systems() == ["ours"]


def test_the_spread_tells_how_much_rounds_disagree() -> None:
    assert spread([9.0, 10.0, 12.0]) == pytest.approx(0.3)
    assert spread([]) == 0.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (21834.0, "21,800"),
        (1234.0, "1,230"),
        (142.4, "142"),
        (45.87, "45.9"),
        (0.426, "0.43"),
        (None, "–"),
        (0.0, "0.00"),
    ],
)
def test_three_figures_are_written(value: float | None, text: str) -> None:
    assert written(value) == text
