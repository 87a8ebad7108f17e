"""What is offered: the file that comes with the package, files of the operator's own, and what is wrong with them."""

import tomllib
from datetime import timedelta
from importlib.resources import files
from itertools import pairwise

import pytest

from provisioner.offer import BadOffer, read_offer, shipped
from provisioner.plans import NoSuchPlan, Plans
from provisioner.ports import Guest

TEXT = (files("provisioner") / "plans.toml").read_text()


def test_the_plans_are_those_of_the_price_list() -> None:
    plans = shipped().plans
    assert list(plans) == ["free", "starter", "pro", "enterprise"]
    told = {name: (p.usd_per_month, p.guest.memory_mb, p.volume_gb) for name, p in plans.items() if p.usd_per_month}
    assert told == {"starter": (20, 512, 2), "pro": (40, 1024, 5), "enterprise": (80, 2048, 10)}
    assert plans["free"].usd_per_month == 0
    assert all(plan.name == name and plan.suspends for name, plan in plans.items())


def test_whoever_pays_more_gets_no_less() -> None:
    ranks = [
        (p.guest.memory_mb, p.volume_gb, p.suspend_after, p.stop_after, p.awake_cap, p.pool_priority, p.requests_burst)
        for p in shipped().plans.values()
    ]
    for less, more in pairwise(ranks):
        assert all(a <= b for a, b in zip(less, more, strict=True))


def test_prices_say_when_and_from_where() -> None:
    prices = shipped().prices
    assert prices.as_of.year >= 2026
    assert "fly.io" in prices.source


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("volume_gb = 5", "volume_gb = 0", "plans.pro.volume_gb: Input should be greater than or equal to 1"),
        ("cpus = 2, memory_mb = 2048", "cpus = 3, memory_mb = 2048", "shared CPUs come by 1, 2, 4, 6, 8"),
        ("cpus = 2, memory_mb = 2048", "cpus = 1, memory_mb = 4096", "must be 256 to 2048 with 1 shared CPUs"),
        ("memory_mb = 1024", "memory_mb = 1000", "multiple of 256"),
        ('suspend_after = "PT30M"', 'suspend_after = "PT0S"', "plans.pro.suspend_after"),
        ('awake_cap = "PT24H"', 'awake_cap = "PT1M"', "plans.pro: awake_cap must not be shorter than suspend_after"),
        ("[plans.pro]", "[plans.gold]", "plans.pro: Field required"),
        ("pool_priority = 0", "pool_prioritty = 0", "plans.free.pool_prioritty: Extra inputs are not permitted"),
        ('cpu_kind = "shared", cpus = 2', 'cpu_kind = "performance", cpus = 1', "nothing about performance CPUs"),
        ("[plans.free]", "[plans.free", "this is no TOML"),
    ],
)
def test_a_bad_file_is_refused_in_words(was: str, becomes: str, told: str) -> None:
    assert was in TEXT
    with pytest.raises(BadOffer) as refused:
        read_offer(TEXT.replace(was, becomes))
    assert told in str(refused.value)


def test_every_problem_is_told_at_once() -> None:
    bad = TEXT.replace("volume_gb = 5", "volume_gb = 0").replace("usd_per_month = 80", "usd_per_month = -1")
    with pytest.raises(BadOffer) as refused:
        read_offer(bad)
    assert len(str(refused.value).splitlines()) == 2


def test_a_few_knobs_hold_for_every_plan() -> None:
    turned = shipped().overridden(memory_mb=256, suspend_after=timedelta(seconds=20))
    assert {plan.guest for plan in turned.plans.values() if plan.name != "enterprise"} == {Guest(memory_mb=256)}
    assert {plan.suspend_after for plan in turned.plans.values()} == {timedelta(seconds=20)}
    assert [p.volume_gb for p in turned.plans.values()] == [p.volume_gb for p in shipped().plans.values()]


def test_an_unknown_plan_is_named_with_those_there_are() -> None:
    with pytest.raises(NoSuchPlan, match="no plan 'gold', only free, starter, pro, enterprise"):
        Plans(shipped().plans).named("gold")


def test_the_database_knows_the_same_names() -> None:
    law = (files("sql") / "schema.sql").read_text()
    names = ", ".join(f"'{name}'" for name in tomllib.loads(TEXT)["plans"])
    assert f"check (plan in ({names}))" in law
