"""Whose bucket a request takes from, by plan, by address, and in which mode."""

from dataclasses import replace
from uuid import uuid4

import pytest

from gateway.limits.bucket import Rate
from gateway.limits.limits import Mode, RateLimits, network_of, rates_of, sign_in_rate
from provisioner.instance import UserId
from provisioner.offer import shipped
from provisioner.plans import Plans
from tests.parts.clock import ManualClock

ADA, BOB = UserId(uuid4()), UserId(uuid4())
SMALL = {
    name: replace(plan, requests_per_s=1.0, requests_burst=burst)
    for burst, (name, plan) in enumerate(shipped().plans.items(), start=1)
}


def limits(
    mode: Mode = "enforce", counted: list[str] | None = None, *, plans: Plans | None = None
) -> tuple[RateLimits, ManualClock]:
    clock, plans = ManualClock(), plans or Plans(SMALL)
    told = [] if counted is None else counted
    return RateLimits(mode, clock.monotonic, plans=plans, sign_in=Rate(1, 2), counted=told.append), clock


async def test_a_user_waits_for_their_own_tokens_only() -> None:
    taken, clock = limits()
    assert [taken.take(ADA), taken.take(ADA), taken.take(BOB)] == [None, 1, None]
    await clock.advance(seconds=1)
    assert taken.take(ADA) is None


def test_a_better_plan_has_a_larger_bucket() -> None:
    plans = Plans(SMALL)
    plans.all_in_force({ADA: "pro"})
    taken, _ = limits(plans=plans)
    assert [taken.take(ADA) for _ in range(4)] == [None, None, None, 1]
    assert [taken.take(BOB) for _ in range(2)] == [None, 1]
    rates = [(rate.per_s, rate.burst) for rate in rates_of(shipped().plans.values()).values()]
    assert rates == sorted(rates)


def test_a_new_plan_counts_from_the_next_request_on() -> None:
    """Whoever pays more need not sign in anew, nor wait."""
    plans = Plans(SMALL)
    taken, _ = limits(plans=plans)
    assert [taken.take(ADA) for _ in range(2)] == [None, 1]
    plans.in_force(ADA, "enterprise")
    assert [taken.take(ADA) for _ in range(4)] == [None, None, None, 1]
    plans.in_force(ADA, None)
    assert taken.take(ADA) == 4


@pytest.mark.parametrize(("mode", "counts"), [("shadow", ["user", "user", "sign-in"]), ("off", [])])
def test_shadow_counts_and_refuses_nobody(mode: Mode, counts: list[str]) -> None:
    """Before a limit is switched on, the operator sees whom it would hit."""
    counted: list[str] = []
    taken, _ = limits(mode, counted)
    assert [taken.take(ADA) for _ in range(3)] == [None] * 3
    assert [taken.take_sign_in("192.0.2.1") for _ in range(3)] == [None] * 3
    assert counted == counts


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.9", None),
        ("", ""),
        ("not an address" * 10, ("not an address" * 10)[:64]),
    ],
)
def test_whose_bucket_an_address_takes_from(client: str, network: str | None) -> None:
    """One customer's 2^64 addresses are one; a proxy that names nobody is not everybody."""
    assert network_of(client) == network


def test_sign_in_is_limited_by_address() -> None:
    taken, _ = limits()
    assert [taken.take_sign_in("192.0.2.1") for _ in range(3)] == [None, None, 1]
    assert taken.take_sign_in("192.0.2.2") is None
    assert [taken.take_sign_in("127.0.0.1") for _ in range(9)] == [None] * 9
    assert taken.sign_in_standing("192.0.2.1").fields["RateLimit"] == '"sign-in";r=0;t=2'


def test_the_operators_words_become_rates() -> None:
    assert sign_in_rate(30) == Rate(0.5, 60)
    assert rates_of(shipped().plans.values(), 0.001)["free"] == Rate(0.1, 1)
