"""Who is let in, remembered for a while, with a clock that may have stood still."""

import pytest

from golden.guard.admission import Admission
from golden.guard.assertion import Expired, Refused
from tests.parts.assertion import KEYS, MACHINE, USER, assertion

NOW = 1_800_000_000
HOUR = 3600


class Clocks:
    def __init__(self) -> None:
        self.wall, self.steady = float(NOW), 50.0

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def admission(clocks: Clocks) -> Admission:
    return Admission(KEYS, MACHINE, owner=USER, clock=lambda: clocks.wall, monotonic=lambda: clocks.steady)


def tokens(at: float, **changes: object) -> list[bytes]:
    return [assertion(iat=int(at), exp=int(at) + 300, **changes).encode()]


def test_a_known_assertion_is_good_until_it_expires_and_no_longer(admission, clocks):
    good = tokens(NOW)
    for _ in range(6):
        assert admission.admit(good).user_id == USER
        clocks.advance(60)
    clocks.advance(1)
    for _ in range(2):
        with pytest.raises(Expired):
            admission.admit(good)


def test_exactly_one_assertion(admission):
    for wrong in ([], tokens(NOW) * 2, tokens(NOW) + tokens(NOW + 1)):
        with pytest.raises(Refused):
            admission.admit(wrong)


def test_only_the_owner(admission):
    with pytest.raises(Refused):
        admission.admit(tokens(NOW, sub="11111111-7c1f-4d0a-9c37-3a8b2d6c5e01"))
    assert admission.admit(tokens(NOW, sub=USER.upper())).user_id == USER.upper()


def test_after_a_long_sleep_the_first_request_comes_in(admission, clocks):
    """Our clock stands at yesterday evening until somebody sets it; the user is not sent away meanwhile."""
    morning = NOW + 12 * HOUR
    assert admission.admit(tokens(morning)).user_id == USER
    clocks.advance(30)
    assert admission.admit(tokens(morning + 30)).user_id == USER


def test_while_the_clock_lags_the_gateways_time_counts(admission, clocks):
    """What was minted last evening is no longer good once the gateway has told us that it is morning."""
    admission.admit(tokens(NOW + 12 * HOUR))
    with pytest.raises(Expired):
        admission.admit(tokens(NOW))
    clocks.wall += 12 * HOUR  # set right
    clocks.advance(601)
    assert admission.admit(tokens(clocks.wall)).user_id == USER


def test_a_gateway_with_a_wrong_clock_spoils_ten_minutes_and_not_the_machine(admission, clocks):
    admission.admit(tokens(NOW + 1000 * HOUR))
    with pytest.raises(Expired):
        admission.admit(tokens(NOW))
    clocks.advance(601)
    assert admission.admit(tokens(clocks.wall)).user_id == USER


def test_only_so_many_are_remembered(admission):
    for number in range(1000):
        admission.admit(tokens(NOW, email=f"{number}@example.com"))
    assert len(admission._known) <= 64
