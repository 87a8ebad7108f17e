"""When Fly is left alone, and how it is found that it is back."""

import pytest

from provisioner.errors import CloudBroken, CloudResting, NotAllowed
from provisioner.fly.breaker import FAILURES, LONGEST_REST_S, TOKEN_REST_S, Breaker, Condition
from provisioner.instance import MachineId
from tests.parts.scripted_fly import ONE, Says, fly_client, fly_clock, fly_script, machine, refusal

FIXTURES = (fly_client, fly_clock, fly_script)  # for pytest to find
WORD = "Authenticate: token validation error"


def opened(things: tuple[str, ...] = ("a", "b", "c"), now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for n in range(FAILURES):
        breaker.failed(things[n % len(things)], now)
    return breaker


def test_many_failures_on_many_things_open_it() -> None:
    breaker = opened()
    assert breaker.condition is Condition.FAULTS
    assert breaker.admit(0.5) == pytest.approx(1.5)


def test_one_dead_host_does_not_stop_the_calls_about_others() -> None:
    breaker = opened(things=("a", "b"))
    assert (breaker.condition, breaker.admit(0.0)) == (Condition.OK, 0.0)


def test_an_answer_in_between_starts_the_count_anew() -> None:
    breaker = Breaker()
    for n in range(3 * FAILURES):
        breaker.failed(str(n), 0.0)
        if n % 5 == 0:
            breaker.answered()
    assert breaker.condition is Condition.OK


def test_half_open_one_goes_and_the_others_wait_for_what_comes_of_it() -> None:
    breaker = opened()
    assert breaker.admit(2.0) == 0.0
    assert breaker.admit(2.0) > 0.0
    assert breaker.answered()
    assert [breaker.admit(2.0) for _ in range(3)] == [0.0] * 3


def test_each_failed_probe_doubles_the_rest_up_to_a_bound() -> None:
    breaker, now, rests = opened(), 0.0, []
    for _ in range(6):
        rests.append(breaker.admit(now))
        now += rests[-1]
        assert breaker.admit(now) == 0.0
        assert not breaker.failed("probe", now)
    assert rests == sorted(rests)
    assert rests[-1] == LONGEST_REST_S


def test_a_probe_that_was_given_up_lets_another_go() -> None:
    breaker = opened()
    assert breaker.admit(2.0) == 0.0
    breaker.unsaid()
    assert breaker.admit(2.0) == 0.0


def test_a_refused_token_stops_everything_at_once() -> None:
    breaker = Breaker()
    assert breaker.token_refused(0.0)
    assert not breaker.token_refused(0.0)
    assert breaker.condition is Condition.TOKEN_REFUSED
    assert breaker.admit(1.0) == TOKEN_REST_S - 1.0
    assert breaker.admit(TOKEN_REST_S) == 0.0
    assert breaker.answered()


# On the wire ---------------------------------------------------------------------------------------------------------


async def test_with_a_refused_token_fly_is_asked_once_a_minute_and_the_cause_is_said(fly, client, clock):
    """Hammering with a dead token helps nobody, and may get the address banned."""
    fly.on("GET", ONE, refusal(401, WORD))
    for _ in range(5):
        with pytest.raises(NotAllowed):
            await client.machine("jarvis", MachineId(ONE.rpartition("/")[2]))
    assert len(fly.asked) == 1
    assert client.condition is Condition.TOKEN_REFUSED
    fly.on("GET", ONE, Says(body=machine()))
    await clock.sleep(TOKEN_REST_S)
    assert await client.machine("jarvis", MachineId(ONE.rpartition("/")[2])) is not None
    assert client.condition is Condition.OK


async def test_a_fly_that_breaks_on_everything_is_left_alone_for_a_while(fly, client, clock):
    fly.on("GET", "/.*", refusal(500, "boom"))
    for n in range(3):
        with pytest.raises((CloudBroken, CloudResting)):
            await client.machine("jarvis", MachineId(f"m{n}"))
    assert client.condition is Condition.FAULTS
    asked = len(fly.asked)
    with pytest.raises(CloudResting) as resting:
        await client.machine("jarvis", MachineId("m9"))
    assert len(fly.asked) == asked
    assert resting.value.sure
    assert resting.value.retry_after is not None
    fly.on("GET", "/.*", Says(body=machine()))
    await clock.sleep(LONGEST_REST_S)
    assert await client.machine("jarvis", MachineId("m9")) is not None
    assert client.condition is Condition.OK


async def test_a_refusal_is_an_answer(fly, client):
    """404s and conflicts come from a Fly in good health."""
    fly.on("GET", "/.*", refusal(404, "not found"))
    for n in range(2 * FAILURES):
        assert await client.machine("jarvis", MachineId(f"m{n}")) is None
    assert client.condition is Condition.OK
