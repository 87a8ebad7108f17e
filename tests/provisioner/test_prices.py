"""What it costs: against sums done by hand on the facts, and as laws that hold for any size and time."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import prices
from provisioner.offer import shipped
from provisioner.ports import Guest

PRICES = shipped().prices
MONTH = timedelta(days=30)
TIMES = st.timedeltas(timedelta(0), timedelta(days=400))


@pytest.mark.parametrize(
    ("guest", "dollars"),
    [
        (Guest(cpus=1, memory_mb=256), 2.32),  # facts: Fly's example, shared-1x 256 MB
        (Guest(cpus=1, memory_mb=512), 3.81),  # "about 3.8"
        (Guest(cpus=1, memory_mb=1024), 6.79),  # "three = 20.37"
    ],
)
def test_a_month_awake_costs_what_fly_says(guest: Guest, dollars: float) -> None:
    assert prices.awake(PRICES, guest, MONTH) == pytest.approx(dollars, abs=0.005)


def test_asleep_only_the_root_file_system_and_the_disk_are_paid() -> None:
    """Facts: an idle user with 1 GB of each costs about 30 cents a month."""
    cost = prices.cost(PRICES, Guest(), 1, awake_for=timedelta(0), suspended_for=MONTH / 2, stopped_for=MONTH / 2)
    assert (cost.awake, cost.asleep, cost.volume) == (0, pytest.approx(0.15), pytest.approx(0.15))
    assert cost.total == pytest.approx(0.30)


@given(st.sampled_from(list(shipped().plans.values())), TIMES, TIMES, TIMES)
def test_time_is_paid_by_the_second_wherever_it_is_cut(plan, awake, suspended, stopped) -> None:  # type: ignore[no-untyped-def]
    def cost(a: timedelta, b: timedelta, c: timedelta) -> float:
        return prices.cost(PRICES, plan.guest, plan.volume_gb, awake_for=a, suspended_for=b, stopped_for=c).total

    nothing = timedelta(0)
    apart = cost(awake, nothing, nothing) + cost(nothing, suspended, nothing) + cost(nothing, nothing, stopped)
    assert cost(awake, suspended, stopped) == pytest.approx(apart)
    assert cost(nothing, suspended, stopped) == pytest.approx(cost(nothing, stopped, suspended))
    assert cost(awake, suspended, stopped) >= 0


def test_a_plan_earns_more_than_its_machine_costs_when_it_sleeps_at_night() -> None:
    for plan in shipped().plans.values():
        day = prices.cost(
            PRICES,
            plan.guest,
            plan.volume_gb,
            awake_for=MONTH / 3,
            suspended_for=MONTH * 2 / 3,
            stopped_for=timedelta(0),
        )
        assert plan.usd_per_month == 0 or day.total < plan.usd_per_month / 2
