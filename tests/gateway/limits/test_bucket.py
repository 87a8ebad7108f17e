"""Token buckets as arithmetic: nobody gets more than their rate, nobody who keeps to it is refused."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.bucket import Buckets, Rate

rates = st.builds(Rate, per_s=st.floats(0.01, 1000), burst=st.integers(1, 50))
pauses = st.lists(st.floats(0, 5) | st.just(0.0), min_size=1, max_size=120)


@given(rates, pauses)
def test_in_no_stretch_of_time_is_more_let_through_than_burst_and_rate(rate: Rate, waits: list[float]) -> None:
    buckets: Buckets[str] = Buckets()
    now, passed = 1000.0, []
    for pause in waits:
        now += pause
        if buckets.take("ada", rate, now) is None:
            passed.append(now)
    for first, since in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= rate.burst + (passed[last] - since) * rate.per_s + 1e-3


@given(rates, st.integers(0, 100))
def test_who_keeps_to_the_rate_is_never_refused(rate: Rate, requests: int) -> None:
    buckets: Buckets[str] = Buckets()
    assert all(buckets.take("ada", rate, 7 + n * rate.interval_s) is None for n in range(requests))


@given(rates, pauses)
def test_after_the_wait_that_was_told_there_is_a_token_and_not_before(rate: Rate, waits: list[float]) -> None:
    buckets: Buckets[str] = Buckets()
    now = 0.0
    for pause in waits:
        now += pause
        wait = buckets.take("ada", rate, now)
        if wait is not None:
            assert wait > 0
            assert buckets.take("ada", rate, now + wait * 0.99 - 1e-6) is not None
            assert buckets.take("ada", rate, now + wait) is None
            now += wait


@given(rates, pauses)
def test_what_remains_is_what_is_let_through(rate: Rate, waits: list[float]) -> None:
    """The RateLimit field is no guess."""
    buckets: Buckets[str] = Buckets()
    now = 0.0
    for pause in waits:
        now += pause
        left = buckets.standing("user", "ada", rate, now).remaining
        assert 0 <= left <= rate.burst
        assert (buckets.take("ada", rate, now) is None) is (left > 0)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 2)), max_size=200), st.integers(2, 8))
def test_memory_is_bounded_whoever_asks(asked: list[tuple[int, float]], most: int) -> None:
    buckets: Buckets[int] = Buckets(most=most)
    now = 0.0
    for key, pause in asked:
        now += pause
        buckets.take(key, Rate(1, 5), now)
        assert len(buckets) <= most


def test_a_crowd_of_strangers_does_not_free_who_is_being_limited() -> None:
    """An attacker's bucket is the emptiest, and the last to be forgotten."""
    buckets: Buckets[str] = Buckets(most=100)
    rate = Rate(0.001, 3)
    for _ in range(3):
        assert buckets.take("eve", rate, 0) is None
    for number in range(1000):
        buckets.take(f"somebody {number}", rate, 0)
    assert buckets.take("eve", rate, 0) is not None


def test_one_bucket_is_not_anothers() -> None:
    buckets: Buckets[str] = Buckets()
    rate = Rate(1, 1)
    assert [buckets.take(who, rate, 0) for who in ("ada", "bob")] == [None, None]
    assert buckets.take("ada", rate, 0) == 1
    assert len(buckets) == 2


def test_the_fields_are_those_of_the_draft() -> None:
    buckets: Buckets[str] = Buckets()
    rate = Rate(per_s=2, burst=10)
    for _ in range(3):
        buckets.take("ada", rate, 0)
    assert buckets.standing("user", "ada", rate, 0).fields == {
        "RateLimit-Policy": '"user";q=10;w=5',
        "RateLimit": '"user";r=7;t=2',
    }
