"""Work leases: taken inside the Machine, and nowhere else."""

import json
from typing import Any

import pytest

from golden.guard.leases import LEASES_MOST, TTL_MOST_S, Held, NoLease, WorkLeases


class Watch:
    """A monotonic clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_is_held_until_its_time_is_over_and_renewed_under_its_name():
    watch = Watch()
    leases = WorkLeases(watch)
    assert leases.put("build", 10) == Held("build", 10)
    assert leases.put("crawl", 99_999) == Held("crawl", TTL_MOST_S)  # nobody keeps a Machine awake for good
    watch.now += 9
    leases.put("build", 10)
    watch.now += 9
    assert leases.held() == (Held("crawl", TTL_MOST_S - 18), Held("build", 1))
    watch.now += 1
    assert [held.reason for held in leases.held()] == ["crawl"]
    assert leases.drop("crawl")
    assert not leases.drop("crawl")
    assert leases.held() == ()


@pytest.mark.parametrize(
    ("reason", "ttl_s"),
    [("", 1), ("  ", 1), ("x" * 201, 1), ("a\nb", 1), (None, 1), (1, 1)]
    + [("x", ttl_s) for ttl_s in (0, -1, None, "9", True, float("nan"), float("inf"))],
)
def test_what_makes_no_sense_is_refused(reason: Any, ttl_s: Any):
    leases = WorkLeases(Watch())
    with pytest.raises(NoLease):
        leases.put(reason, ttl_s)
    assert leases.held() == ()


def test_there_is_an_end_to_how_many():
    leases = WorkLeases(Watch())
    for number in range(LEASES_MOST):
        leases.put(f"job {number}", 60)
    with pytest.raises(NoLease, match="give one back"):
        leases.put("one more", 60)
    leases.put("job 0", 120)  # a renewal is not one more


@pytest.fixture
async def inside(guard, http):
    """Where the App reaches the Guard."""
    async with http.get(guard.base + "/env", headers=guard.headers) as response:
        return (await response.json())["GUARD_URL"] + "/_guard/lease"


async def busy(guard, http):
    async with http.get(guard.base + "/_guard/busy", headers=guard.headers) as response:
        return await response.json()


async def test_work_in_the_machine_keeps_it_awake(guard, http, inside):
    """A job that nobody watches says that it runs, and is not put to sleep under."""
    lease = {"reason": "nightly build", "ttl_s": 600}
    async with http.put(inside, json=lease) as response:
        assert await response.json() == {"reason": "nightly build", "expires_in_s": 600}
    told = await busy(guard, http)
    assert (told["busy"], told["reason"]) == (True, "work: nightly build")
    assert [held["reason"] for held in told["leases"]] == ["nightly build"]
    async with http.get(inside) as response:
        assert [held["reason"] for held in (await response.json())["leases"]] == ["nightly build"]
    async with http.delete(inside, json=lease) as response:
        assert response.status == 200
    async with http.delete(inside, json=lease) as response:
        assert response.status == 404
    assert (await busy(guard, http))["busy"] is False


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("PUT", "", {"data": b"{"}, 400),
        ("PUT", "", {"data": b"[]"}, 400),
        ("PUT", "", {"json": {"reason": "x"}}, 400),
        ("PUT", "", {"data": b"[" * 8000}, 400),
        ("PUT", "", {"data": b" " * 9000}, 413),
        ("PUT", "", {"json": {"reason": "x", "ttl_s": 1}, "headers": {"Origin": "http://evil.example"}}, 403),
        ("POST", "", {}, 405),
        ("GET", "/more", {}, 404),
    ],
)
async def test_what_cannot_be_understood_gets_an_answer(guard, http, inside, method, path, options, status):
    async with http.request(method, inside + path, **options) as response:
        assert response.status == status
        assert json.loads(await response.read())["status"] == status
    assert (await busy(guard, http))["busy"] is False


async def test_nobody_outside_can_take_one(guard, http):
    """A page in a browser comes in by the outer door, even with the gateway's word: there is no such thing there."""
    for headers, status in ((guard.headers, 404), ({}, 401)):
        url = guard.base + "/_guard/lease"
        async with http.put(url, json={"reason": "evil", "ttl_s": 3600}, headers=headers) as response:
            assert response.status == status
    assert (await busy(guard, http))["busy"] is False
