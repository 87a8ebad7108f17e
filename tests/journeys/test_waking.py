"""A machine that sleeps, for whatever reason, answers the request that finds it asleep."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from tests.journeys.conftest import Visit
from tests.journeys.visitor import FETCH, Operator, Visitor, statuses, together
from tests.parts.system import System, until

BODY: Final = bytes(range(256)) * 400
SLEEPS: Final = {
    "suspended by the operator": ("admin", "suspend", "suspended"),
    "stopped by the operator": ("admin", "stop", "stopped"),
    "suspended behind our back": ("fly", "suspend", "suspended"),
    "stopped behind our back": ("fly", "stop", "stopped"),
}


async def fall_asleep(operator: Operator, email: str, how: str) -> None:
    by, verb, state = SLEEPS[how]
    if by == "admin":
        assert (await operator.act(email, verb))["state"] == state
    else:
        await operator.behind_our_back(email, verb)
    assert (await operator.machine(email))["state"] == state


async def get(visitor: Visitor) -> None:
    assert (await visitor.http.get("/env", headers=FETCH)).status_code == 200


async def post(visitor: Visitor) -> None:
    answer = await visitor.http.post("/echo", content=BODY, headers=FETCH)
    assert (answer.status_code, answer.content == BODY) == (200, True), answer.text[:500]


async def shake_hands(visitor: Visitor) -> None:
    async with visitor.websocket() as socket:
        await socket.send("awake?")
        assert await socket.recv() == "awake?"


async def test_any_request_wakes_a_machine_however_it_fell_asleep(
    dev: System, operator: Operator, visit: Visit
) -> None:
    """I come back to a Jarvis that sleeps, and the first thing I do works: reading, sending, a WebSocket."""

    async def journey(how: str) -> None:
        ada = await visit("ada", at=dev)
        for act in (get, post, shake_hands):
            await fall_asleep(operator, ada.email, how)
            try:
                async with asyncio.timeout(20):
                    await act(ada)
            except BaseException as fault:
                fault.add_note(f"{act.__name__} to one that was {how}")
                raise
            assert (await operator.machine(ada.email))["state"] == "started"
            await until(lambda: active(operator, ada.email), what=f"active after {act.__name__}")

    await together(*(journey(how) for how in SLEEPS))


async def active(operator: Operator, email: str) -> bool:
    return bool((await operator.show(email))["state"] == "active")


async def test_a_suspended_machine_goes_on_where_it_was(dev: System, operator: Operator, visit: Visit) -> None:
    """What my Jarvis had in memory is still there; after a stop it began anew, with its disk."""
    ada = await visit("ada", at=dev)
    before = await ada.env()
    await ada.http.post("/write", params={"name": "note", "text": "kept"})
    await fall_asleep(operator, ada.email, "suspended by the operator")
    assert (await ada.env())["pid"] == before["pid"]
    await fall_asleep(operator, ada.email, "stopped by the operator")
    after = await ada.env()
    assert after["pid"] != before["pid"]
    assert after["DATA_DIR"] == before["DATA_DIR"]
    assert (await ada.http.get("/read", params={"name": "note"})).text == "kept"


@pytest.mark.parametrize("how", ["suspended by the operator", "suspended behind our back"])
async def test_twenty_tabs_at_once_cause_one_start(dev: System, operator: Operator, visit: Visit, how: str) -> None:
    """My browser opens all of last night's tabs, and every one of them loads."""
    ada = await visit("ada", at=dev)
    await fall_asleep(operator, ada.email, how)
    before = len(await operator.calls("start_machine", ada.email))
    answers = await together(*(ada.http.get("/env", headers=FETCH) for _ in range(20)))
    assert statuses(answers) == [200] * 20
    assert len(await operator.calls("start_machine", ada.email)) - before == 1


async def test_a_crashed_machine_is_started_again_by_the_next_visit(
    dev: System, operator: Operator, visit: Visit
) -> None:
    """Even if the whole machine dies, all I notice is a slow answer."""
    ada = await visit("ada", at=dev)
    machine = await operator.machine(ada.email)
    status, told = await operator.fly("POST", f"/_local/machines/{machine['id']}/crash")
    assert status == 204, told
    async with asyncio.timeout(25):
        await get(ada)


async def test_a_frozen_machine_is_brought_back_within_the_request(
    dev: System, operator: Operator, visit: Visit
) -> None:
    """My machine stands still and not even Fly knows: I wait for some seconds, and what I asked is answered, once."""

    async def journey(act: Callable[[Visitor], Awaitable[None]]) -> None:
        ada = await visit("ada", at=dev)
        before = await ada.env()
        machine = await operator.machine(ada.email)
        status, told = await operator.fly("POST", f"/_local/machines/{machine['id']}/freeze")
        assert status == 204, told
        async with asyncio.timeout(20):
            await act(ada)
        assert (await ada.env())["pid"] == before["pid"]

    await together(journey(get), journey(post), journey(shake_hands))
