"""The strings under /_local: faults, counters, switches."""

import asyncio

import httpx
import pytest

from tests.parts.local_auth import ShiftedClock, auth_for_test, person_at


@pytest.fixture
def clock():
    return ShiftedClock()


@pytest.fixture
async def ada(tmp_path, clock):
    async with auth_for_test(tmp_path, now=clock) as auth, person_at(auth) as person:
        yield person


async def test_an_answer_may_fail_some_times(ada):
    await ada.pull("POST", "/faults", {"path": "/auth/v1/health*", "kind": "status", "status": 502, "times": 2})
    statuses = [(await ada.call("GET", "/health")).status_code for _ in range(3)]
    assert statuses == [502, 502, 200]


async def test_a_fault_minds_method_query_body_and_headers(ada):
    fault = {"path": "*grant_type=refresh_token", "method": "POST", "kind": "status", "status": 429, "times": None}
    await ada.pull("POST", "/faults", {**fault, "body": "slow down", "headers": {"Retry-After": "7"}})
    answer = await ada.sign_in("ada@example.com")
    for _ in range(2):
        refused = await ada.refresh(answer["refresh_token"])
        assert (refused.status_code, refused.text, refused.headers["Retry-After"]) == (429, "slow down", "7")
    assert len((await ada.pull("GET", "/faults")).json()) == 1
    await ada.pull("DELETE", "/faults")
    assert (await ada.refresh(answer["refresh_token"])).status_code == 200


async def test_a_reset_happens_before_the_work_and_a_lost_answer_after(ada):
    """A lost answer of a refresh can be asked for again; that of a code exchange cannot."""
    first = (await ada.sign_in("ada@example.com"))["refresh_token"]
    for kind in ("reset", "lost_answer"):
        await ada.pull("POST", "/faults", {"path": "/auth/v1/token*", "kind": kind})
        with pytest.raises(httpx.TransportError):
            await ada.refresh(first)
        second = (await ada.refresh(first)).json()["refresh_token"]
        assert second != first
        first = second
    code = await ada.code("ada@example.com", "v" * 50)
    await ada.pull("POST", "/faults", {"path": "/auth/v1/token*", "kind": "lost_answer"})
    body = {"auth_code": code, "code_verifier": "v" * 50}
    with pytest.raises(httpx.TransportError):
        await ada.token("pkce", body)
    assert (await ada.token("pkce", body)).json()["error_code"] == "flow_state_not_found"


async def test_a_fault_may_speak_as_auth_does(ada):
    """Codes that this server never gives by itself, such as `conflict`, in both shapes."""
    fault = {"kind": "status", "status": 409, "code": "conflict"}
    await ada.pull("POST", "/faults", {"match": {"path": "/auth/v1/token*"}, "times": 2, "fault": fault})
    old = await ada.refresh("a" * 12)
    assert (old.status_code, old.json()["error_code"]) == (409, "conflict")
    new = await ada.refresh("a" * 12, **{"X-Supabase-Api-Version": "2024-01-01"})
    assert new.json()["code"] == new.headers["x-sb-error-code"] == "conflict"


async def test_a_held_request_goes_on_when_released(ada):
    """To look at what happens meanwhile, such as a second refresh of the same session."""
    first = (await ada.sign_in("ada@example.com"))["refresh_token"]
    await ada.pull("POST", "/faults", {"path": "/auth/v1/token*", "kind": "hold"})
    held = asyncio.create_task(ada.refresh(first))
    while (await ada.pull("GET", "/faults")).json():
        pass  # spent as soon as the request has arrived
    meanwhile = (await ada.refresh(first)).json()["refresh_token"]
    assert not held.done()
    await ada.pull("DELETE", "/faults")
    assert (await held).json()["refresh_token"] == meanwhile


async def test_a_hanging_request_is_let_go(ada):
    await ada.pull("POST", "/faults", {"path": "/auth/v1/health", "kind": "hang"})
    hanging = asyncio.create_task(ada.call("GET", "/health"))
    while (await ada.pull("GET", "/faults")).json():
        pass  # spent as soon as the request has arrived
    assert not hanging.done()
    await ada.pull("DELETE", "/faults")
    with pytest.raises(httpx.TransportError):
        await hanging


async def test_the_end_does_not_wait_for_what_hangs(tmp_path):
    async with auth_for_test(tmp_path) as auth, person_at(auth) as ada:
        await ada.pull("POST", "/faults", {"path": "/auth/v1/health", "kind": "hang"})
        hanging = asyncio.create_task(ada.call("GET", "/health"))
        while (await ada.pull("GET", "/faults")).json():
            pass
    with pytest.raises(httpx.TransportError):
        await hanging


@pytest.mark.parametrize(
    "fault", [{}, {"path": "/x"}, {"path": "/x", "kind": "odd"}, {"path": "/", "kind": "hang", "x": 1}]
)
async def test_a_fault_must_be_well_said(ada, fault):
    assert (await ada.pull("POST", "/faults", fault)).status_code == 400


async def test_requests_are_counted_by_endpoint(ada):
    """So that a test can say how often the gateway asked."""
    answer = await ada.sign_in("ada@example.com")
    await ada.administer("GET", f"/users/{answer['user']['id']}")
    await ada.refresh("a" * 12)
    counted = (await ada.pull("GET", "/requests")).json()
    assert counted["GET /auth/v1/authorize"] == {"count": 1, "statuses": {"302": 1}}
    assert counted["GET /auth/v1/admin/users/{user_id}"] == {"count": 1, "statuses": {"200": 1}}
    assert counted["POST /auth/v1/token?grant_type=pkce"] == {"count": 1, "statuses": {"200": 1}}
    assert counted["POST /auth/v1/token?grant_type=refresh_token"] == {"count": 1, "statuses": {"400": 1}}
    await ada.pull("DELETE", "/requests")
    assert (await ada.pull("GET", "/requests")).json() == {}


async def test_switches_are_shown_and_checked(ada):
    shown = (await ada.pull("PATCH", "/project", {"token_lifetime_s": 60})).json()
    assert shown["token_lifetime_s"] == 60
    assert not {"secret_key", "publishable_key"} & shown.keys()
    for wrong in ({"token_lifetime_s": "60"}, {"disable_signup": 1}, {"secret_key": "x"}, {"what": True}):
        assert (await ada.pull("PATCH", "/project", wrong)).status_code == 400


@pytest.mark.parametrize("path", ["/keys/rotate", "/keys/standby"])
async def test_keys_want_a_known_algorithm(ada, path):
    assert (await ada.pull("POST", path, {"algorithm": "ROT13"})).status_code == 400


async def test_unknown_keys_cannot_be_moved(ada):
    assert (await ada.pull("POST", "/keys/nobody/revoke")).status_code == 404
