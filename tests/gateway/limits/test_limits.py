"""Whose bucket a request takes from, by plan, by address, and in which mode."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from gateway.limits.bucket import Rate
from gateway.limits.limits import PER_USER, Mode, RateLimits, faster, network_of, sign_in_rate
from gateway.limits.plans import EVERY_S, keep_plans
from provisioner.instance import UserId
from provisioner.store.plans import plans_in_force
from tests.parts.clock import ManualClock

ADA, BOB = UserId(uuid4()), UserId(uuid4())
SMALL = {plan: Rate(1, burst) for burst, plan in enumerate(PER_USER, start=1)}


def limits(mode: Mode = "enforce", counted: list[str] | None = None) -> tuple[RateLimits, ManualClock]:
    clock = ManualClock()
    told = [] if counted is None else counted
    return RateLimits(mode, clock.monotonic, per_user=SMALL, sign_in=Rate(1, 2), counted=told.append), clock


async def test_a_user_waits_for_their_own_tokens_only() -> None:
    taken, clock = limits()
    assert [taken.take(ADA), taken.take(ADA), taken.take(BOB)] == [None, 1, None]
    await clock.advance(seconds=1)
    assert taken.take(ADA) is None


def test_a_better_plan_has_a_larger_bucket() -> None:
    taken, _ = limits()
    taken.paying({ADA: "pro", BOB: "one that we have never heard of"})
    assert [taken.take(ADA) for _ in range(4)] == [None, None, None, 1]
    assert [taken.take(BOB) for _ in range(2)] == [None, 1]
    assert [(rate.per_s, rate.burst) for rate in PER_USER.values()] == sorted(
        (rate.per_s, rate.burst) for rate in PER_USER.values()
    )


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
    assert faster(0.001)["free"] == Rate(0.1, 1)


async def test_plans_are_read_again_and_the_last_answer_holds() -> None:
    clock = ManualClock()
    heard: list[Mapping[UserId, str]] = []
    answers: list[Mapping[UserId, str] | None] = [{ADA: "pro"}, None, {}]

    async def ask() -> Mapping[UserId, str]:
        answer = answers.pop(0)
        if answer is None:
            raise OSError("away")
        return answer

    with capture_logs() as lines:
        loop = asyncio.create_task(keep_plans(ask, heard.append, clock))
        await asyncio.sleep(0)
        for _ in range(2):
            await clock.advance(seconds=EVERY_S)
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop
    assert heard == [{ADA: "pro"}, {}]
    assert [line["event"] for line in lines] == ["plans_not_read"]


async def test_only_plans_that_count_now_are_in_force(database) -> None:  # type: ignore[no-untyped-def]
    from provisioner.store.database import connect

    async with connect(database.dsn) as pool:
        for user_id, plan, status in [(ADA, "pro", "active"), (BOB, "starter", "canceled")]:
            await pool.execute(
                "insert into public.user_subscriptions (user_id, plan, status) values ($1, $2, $3)",
                user_id,
                plan,
                status,
            )
        assert await plans_in_force(pool) == {ADA: "pro"}
