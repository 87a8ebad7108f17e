"""What a failure at Fly calls for."""

import pytest

from provisioner.errors import (
    CloudBroken,
    CloudError,
    CloudResting,
    CloudSilent,
    CloudUnreachable,
    LeaseHeld,
    NameTaken,
    NoCapacity,
    NotAllowed,
    NotThere,
    RateLimited,
    Refused,
    Scope,
    WrongState,
)
from provisioner.relief import ATTEMPTS, Relief, pause, relief


def full(scope: Scope) -> NoCapacity:
    return NoCapacity("full", scope=scope)


def after(fault: CloudError, attempt: int = 1, *, provisioning: bool = False, regions_left: bool = False) -> Relief:
    return relief(fault, attempt, provisioning=provisioning, regions_left=regions_left)


def every(kind: type[CloudError]) -> list[type[CloudError]]:
    return [kind, *(sub for child in kind.__subclasses__() for sub in every(child))]


def test_the_last_attempt_is_the_last_whatever_went_wrong() -> None:
    for kind in every(CloudError):
        given = {NoCapacity: {"scope": Scope.HOST}, CloudResting: {"retry_after": 1.0}}.get(kind, {})
        fault = kind("x", **given)  # type: ignore[arg-type]
        assert after(fault, ATTEMPTS) is Relief.GIVE_UP


@pytest.mark.parametrize(
    "fault", [CloudSilent("x"), CloudBroken("x"), CloudUnreachable("x"), LeaseHeld("x"), NotThere("x"), WrongState("x")]
)
def test_a_moment_may_heal_it(fault: CloudError) -> None:
    assert after(fault) is after(fault, ATTEMPTS - 1) is Relief.AGAIN


@pytest.mark.parametrize("fault", [NotAllowed("x"), NameTaken("x")])
def test_what_no_repeating_mends_is_given_up_at_once(fault: CloudError) -> None:
    assert after(fault, provisioning=True, regions_left=True) is Relief.GIVE_UP


def test_a_full_host_is_given_moments_and_then_left() -> None:
    assert [after(full(Scope.HOST), n) for n in range(1, 6)] == [
        Relief.AGAIN,
        Relief.AGAIN,
        Relief.ANOTHER_HOST,
        Relief.ANOTHER_HOST,
        Relief.GIVE_UP,
    ]


def test_a_disk_on_a_full_host_has_to_move() -> None:
    assert after(full(Scope.VOLUME_HOST)) is Relief.ANOTHER_HOST


def test_an_empty_disk_on_a_full_host_does_not_move_but_is_made_anew() -> None:
    assert after(full(Scope.VOLUME_HOST), provisioning=True) is Relief.START_OVER
    assert after(full(Scope.HOST), 3, provisioning=True) is Relief.START_OVER


def test_what_vanished_while_it_was_made_is_made_anew_and_what_holds_data_is_not() -> None:
    gone = NotThere("volume not found")
    assert [after(gone, n, provisioning=True) for n in (1, 2, ATTEMPTS)] == [
        Relief.AGAIN,
        Relief.START_OVER,
        Relief.GIVE_UP,
    ]
    assert after(gone, 2) is Relief.AGAIN


@pytest.mark.parametrize("scope", [Scope.REGION, Scope.ORGANISATION])
def test_another_region_is_for_those_who_have_nothing_yet(scope: Scope) -> None:
    """Data stay where their owner's disk is; a new user may begin elsewhere, as long as there is an elsewhere."""
    assert after(full(scope), provisioning=True, regions_left=True) is Relief.ANOTHER_REGION
    assert after(full(scope), provisioning=True) is Relief.GIVE_UP
    assert after(full(scope), regions_left=True) is Relief.GIVE_UP


def test_pauses_grow_and_are_never_shorter_than_fly_asked_for() -> None:
    assert pause(CloudBroken("x"), 1, chance=0.0) < pause(CloudBroken("x"), 3, chance=0.0)
    assert pause(RateLimited("x", retry_after=7.0), 1, chance=0.0) == 7.0
    assert pause(CloudResting("x", retry_after=9.0), 1, chance=0.0) == 9.0
    assert pause(RateLimited("x"), 1, chance=0.0) == pause(CloudBroken("x"), 1, chance=0.0)
    assert pause(Refused("x"), 1, chance=0.5) > pause(CloudBroken("x"), 1, chance=0.5)
    assert pause(RateLimited("x", retry_after=0.01), 2, chance=1.0) > 0.01
