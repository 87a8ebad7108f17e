"""The rate limits of Fly's docs: on unless somebody turns them off."""

from pathlib import Path

import pytest

from localcloud.fly import local_fly
from localcloud.fly.limits import DOCUMENTED, UNLIMITED, Limits, Rate, whole_seconds
from tests.parts.clock import ManualClock
from tests.parts.local_fly import TOKEN, FlyCaller


def test_a_burst_passes_and_then_one_a_second() -> None:
    limits = Limits({"": Rate(1, 3)})
    assert [limits.refused("start", "m", 0.0) for _ in range(4)] == [None, None, None, 1.0]
    assert limits.refused("start", "m", 0.5) == 0.5
    assert limits.refused("start", "m", 1.0) is None
    assert limits.refused("start", "m", 1.0) is not None
    assert [limits.refused("start", "m", 100.0) for _ in range(4)] == [None, None, None, 1.0]


def test_each_action_on_each_thing_has_its_own_budget() -> None:
    limits = Limits(DOCUMENTED)
    for _ in range(3):
        assert limits.refused("start_machine", "a", 0.0) is None
    assert limits.refused("start_machine", "a", 0.0) is not None
    assert limits.refused("start_machine", "b", 0.0) is None
    assert limits.refused("stop_machine", "a", 0.0) is None


@pytest.mark.parametrize(("action", "burst", "wait"), [("get_machine", 10, 0.2), ("delete_app", 100, 0.6), ("x", 3, 1)])
def test_the_documented_limits(action: str, burst: int, wait: float) -> None:
    limits = Limits(DOCUMENTED)
    for _ in range(burst):
        assert limits.refused(action, "a", 0.0) is None
    assert limits.refused(action, "a", 0.0) == pytest.approx(wait)


def test_without_rates_nothing_is_refused() -> None:
    limits = Limits(UNLIMITED)
    assert {limits.refused("x", "a", 0.0) for _ in range(100)} == {None}


def test_retry_after_is_never_too_short() -> None:
    assert [whole_seconds(s) for s in (0.01, 1.0, 1.2)] == [1, 1, 2]


async def test_each_new_app_has_a_budget_of_its_own(tmp_path: Path) -> None:
    """Fly counts by what an action is done to: one app for every user is made as fast as users come."""
    async with local_fly(tmp_path, token=TOKEN, command=None) as fly, FlyCaller(fly.url) as call:
        new = [await call("POST", "/apps", {"name": f"ada-{n}", "org_slug": "personal"}) for n in range(8)]
        again = [await call("POST", "/apps", {"name": "ada-1", "org_slug": "personal"}) for _ in range(4)]
    assert [status for status, _ in new] == [201] * 8
    assert [status for status, _ in again][-1] == 429


@pytest.mark.parametrize("tells", [True, False])
async def test_by_default_the_fourth_call_at_once_is_429(tmp_path: Path, *, tells: bool) -> None:
    """A client that hammers Fly is told so here, before it is in production. Fly does not promise a Retry-After."""
    clock = ManualClock()
    async with (
        local_fly(tmp_path, token=TOKEN, command=None, clock=clock, retry_after=tells) as fly,
        FlyCaller(fly.url) as call,
    ):
        await call.app()
        statuses = [(await call("GET", "/apps/ada/machines"))[0] for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert call.last_headers.get("Retry-After") == ("1" if tells else None)
        await clock.advance(seconds=1)
        assert (await call("GET", "/apps/ada/machines"))[0] == 200
