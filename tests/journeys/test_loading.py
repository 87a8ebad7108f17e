"""What people and programs are told while a machine is on its way, or cannot be had."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.journeys.conftest import APP, Visit
from tests.journeys.test_signing_in import assert_problem
from tests.journeys.visitor import FETCH, PAGE, Operator, Visitor, operator_of, together
from tests.parts.system import System, dev_system, until

SHORT: Final = {"HOLD_S": "1.2", "HOLD_NAVIGATION_S": "0.3", "HOLD_FIRST_VISIT_S": "0.1", "SWEEP_EVERY_S": "0.3"}
RANK: Final = {"waiting": 0, "running": 1, "done": 2}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A gateway that holds nobody for long."""
    with dev_system(tmp_path_factory.mktemp("impatient") / "data", app_command=APP, environment=SHORT) as system:
        yield system


@pytest.fixture
async def counter(impatient: System) -> AsyncIterator[Operator]:
    async with operator_of(impatient) as somebody:
        yield somebody
        await somebody.heal()


async def events(visitor: Visitor, *, opened: asyncio.Event) -> list[dict[str, Any]]:
    """What `/_gateway/events` tells until it ends."""
    told = []
    headers = {"Accept": "text/event-stream"}
    async with visitor.http.stream("GET", "/_gateway/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert "no-store" in answer.headers["Cache-Control"]
        opened.set()
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
    return told


def assert_only_forward(views: list[dict[str, Any]]) -> None:
    """No step ever goes back, none begins before the one ahead of it, and in the end all are done."""
    for earlier, later in pairwise(views):
        was = {step["name"]: RANK[step["state"]] for step in earlier["steps"]}
        for step in later["steps"]:
            assert RANK[step["state"]] >= was.get(step["name"], 0), (earlier, later)
    for view in views:
        ranks = [RANK[step["state"]] for step in view["steps"]]
        assert ranks == sorted(ranks, reverse=True), view
        assert ranks.count(1) <= 1, view
    last = views[-1]
    assert last["ready"] is True
    assert {step["state"] for step in last["steps"]} == {"done"}


async def test_while_a_machine_is_made_a_page_shows_it_and_a_call_is_told_to_come_back(
    impatient: System, counter: Operator, visit: Visit
) -> None:
    """My browser shows me what is going on; my script gets JSON and the time to wait; then both get the App."""
    await counter.latencies(create=1.0, start=1.0)
    ada = await visit("ada", at=impatient, next_path="/_gateway/instance")
    opened = asyncio.Event()
    watching = asyncio.ensure_future(events(ada, opened=opened))
    await opened.wait()
    page, call = await together(
        ada.http.get("/env?a=1&b=2", headers=PAGE), ada.http.post("/echo", content=b"x", headers=FETCH)
    )
    assert page.status_code == 503
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Cache-Control"] == "no-store"
    assert int(page.headers["Retry-After"]) >= 1
    assert_problem(call, 503)
    assert int(call.headers["Retry-After"]) >= 1
    assert page.elapsed.total_seconds() < call.elapsed.total_seconds() < 5
    looks = []

    async def ready() -> bool:
        looks.append(await ada.progress())
        return bool(looks[-1]["ready"])

    await until(ready)
    assert_only_forward(looks)
    told = await watching
    assert len(told) >= 3
    assert_only_forward(told)
    answer = await ada.http.get("/env", headers=PAGE)
    assert (answer.status_code, answer.json()["USER_EMAIL"]) == (200, ada.email)
    assert len(await counter.machines(ada.email)) == 1


async def test_a_fetch_waits_for_a_wake_and_gets_its_answer(impatient: System, counter: Operator, visit: Visit) -> None:
    """An open tab that asks in the background never sees the sleep, only a slow answer."""
    ada = await arrived(visit, impatient)
    await counter.act(ada.email, "suspend")
    await counter.latencies(resume=0.6)
    page, fetched = await together(ada.http.get("/env", headers=PAGE), ada.http.get("/env", headers=FETCH))
    assert (page.status_code, fetched.status_code) == (503, 200)
    assert fetched.elapsed.total_seconds() >= 0.5
    told = dict(step.split(";dur=") for step in fetched.headers["Server-Timing"].split(", "))
    # Its last step, "open", is written down when they are in already.
    assert list(told) == ["wake-reserve", "wake-resume", "wake-network", "wake-app"]
    assert float(told["wake-resume"]) + float(told["wake-network"]) >= 500
    assert "Server-Timing" not in (await ada.http.get("/env", headers=FETCH)).headers


async def test_watching_wakes_nothing(impatient: System, counter: Operator, visit: Visit) -> None:
    """A loading page left open in a tab does not keep my machine up, nor bring it up."""
    ada = await arrived(visit, impatient)
    await counter.act(ada.email, "stop")
    for _ in range(3):
        assert (await ada.progress())["state"] == "stopped"
    assert (await counter.machine(ada.email))["state"] == "stopped"


async def test_no_room_at_fly_leads_to_the_waiting_room_and_in_by_itself(
    impatient: System, counter: Operator, visit: Visit
) -> None:
    """The region is full: I am told so, keep my place, and get in without asking again."""
    ada = await visit("ada", at=impatient, next_path="/_gateway/instance")
    await counter.fault("create_machine", {"kind": "capacity", "scope": "region"}, times=None)

    async def refused() -> bool:
        return bool((await ada.http.get("/env", headers=FETCH)).json()["title"] == "Your machine could not be made yet")

    await until(refused, within=30)
    call, page = await together(ada.http.get("/env", headers=FETCH), ada.http.get("/env", headers=PAGE))
    assert_problem(call, 503)
    assert "room" in call.json()["detail"]
    assert int(call.headers["Retry-After"]) >= 1
    assert (page.url.path, page.status_code) == ("/welcome/waiting", 200)
    assert [hop.status_code for hop in page.history] == [303]
    waiting = await ada.progress()
    assert (waiting["state"], waiting["ready"], waiting["place"]) == ("failed", False, 1)
    assert "room" in waiting["error"]
    assert waiting["eta_s"] < 15
    assert (await counter.show(ada.email))["queue"]["place"] == 1
    await counter.heal()

    async def in_by_itself() -> bool:
        return bool((await ada.progress())["ready"])

    await until(in_by_itself, within=30)
    assert (await ada.env())["USER_EMAIL"] == ada.email
    assert (await counter.show(ada.email))["queue"] is None
    assert len(await counter.machines(ada.email)) == 1
    assert len(await counter.volumes(ada.email)) == 1


async def test_i_may_ask_for_the_next_attempt_myself(impatient: System, counter: Operator, visit: Visit) -> None:
    """However far away the queue's next attempt is, and only by a page of this very origin; nobody else can ask."""
    ada = await visit("ada", at=impatient, next_path="/_gateway/instance")
    await counter.fault("create_machine", {"kind": "capacity", "scope": "region"}, times=None)

    async def failed() -> bool:
        return (await ada.http.get("/", headers=PAGE)).url.path == "/welcome/waiting"

    await until(failed, within=30)
    await counter.rows.execute("update public.provisioning_queue set next_retry_at = now() + interval '1 day'")
    await counter.heal()
    for headers in ({**PAGE, "Origin": "http://evil.example"}, PAGE, {**FETCH, "Sec-Fetch-Site": "cross-site"}):
        assert (await ada.http.post("/_gateway/retry", headers=headers)).status_code == 403
    assert (await ada.progress())["state"] == "failed"
    asked = await ada.http.post(
        "/_gateway/retry",
        params={"next": "/env?a=1"},
        headers={**PAGE, "Origin": impatient.public},
        follow_redirects=False,
    )
    assert (asked.status_code, asked.headers["Location"]) == (303, "/env?a=1")

    async def in_again() -> bool:
        return bool((await ada.progress())["ready"])

    await until(in_again, within=30)
    answer = await ada.http.get("/welcome/waiting", headers=PAGE, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/"), "nothing to wait for"


async def arrived(visit: Visit, system: System) -> Visitor:
    """Somebody whose machine runs. Here that takes longer than a request is held."""
    somebody = await visit("ada", at=system, next_path="/_gateway/instance")

    async def answered() -> bool:
        return (await somebody.http.get("/env", headers=FETCH)).status_code == 200

    await until(answered)
    return somebody
