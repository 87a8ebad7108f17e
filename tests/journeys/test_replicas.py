"""Several gateways, and gateways that die: one user, one machine, whatever happens to us."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import pytest

from localcloud.auth.faults import Fault
from localcloud.database import Database
from tests.journeys.conftest import Visit
from tests.journeys.test_signing_in import assert_problem
from tests.journeys.visitor import FETCH, PAGE, operator_of, statuses, together
from tests.parts.plain_http import NO_TLS
from tests.parts.system import Served, served, until


@pytest.fixture
async def cloud(tmp_path: Path, database: Database) -> AsyncIterator[Served]:
    """A local cloud without a gateway yet."""
    async with served(tmp_path, database) as somewhere:
        yield somewhere


async def test_two_replicas_make_and_wake_one_machine_between_them(cloud: Served, visit: Visit) -> None:
    """My requests land on different gateways, and it is still one Jarvis."""
    one, two = await together(cloud.replica("one"), cloud.replica("two"))
    ada = await visit("ada", at=one, next_path="/_gateway/instance")
    async with ada.at(two.public) as ada_at_two, operator_of(one) as operator:
        answers = await together(*(who.http.get("/env", headers=FETCH) for who in (ada, ada_at_two) * 5))
        assert statuses(answers) == [200] * 10
        assert len({answer.json()["pid"] for answer in answers}) == 1
        assert len(await operator.machines(ada.email)) == 1
        assert len(await operator.volumes(ada.email)) == 1

        assert (await operator.act(ada.email, "suspend"))["state"] == "suspended"
        assert (await ada_at_two.http.get("/env", headers=FETCH)).status_code == 200
        assert len(await operator.calls("start_machine", ada.email)) == 1

        async with operator_of(two) as other:
            await other.act(ada.email, "stop")
        answers = await together(*(who.http.post("/echo", content=b"x") for who in (ada, ada_at_two) * 5))
        assert statuses(answers) == [200] * 10
        assert len(await operator.calls("start_machine", ada.email)) == 2
        assert len(await operator.machines(ada.email)) == 1


async def test_a_sign_out_at_one_replica_is_one_at_the_other(cloud: Served, visit: Visit) -> None:
    """Signed out is signed out, whichever gateway my next request meets."""
    one, two = await together(cloud.replica("one"), cloud.replica("two"))
    ada = await visit("ada", at=one, next_path="/_gateway/instance")
    async with ada.at(two.public) as elsewhere:
        assert (await elsewhere.progress())["state"] == "provisioning"
        answer = await ada.http.post("/auth/logout", headers={**PAGE, "Origin": one.public}, follow_redirects=False)
        assert answer.status_code == 303

        async def unknown() -> bool:
            return (await elsewhere.http.get("/_gateway/instance", headers=FETCH)).status_code == 401

        await until(unknown, within=5)
        assert_problem(await elsewhere.http.get("/env", headers=FETCH), 401)
        assert elsewhere.http.cookies.get("jarvis")


async def test_two_replicas_and_200_requests_at_the_end_of_a_token_refresh_once(
    cloud: Served, database: Database, visit: Visit
) -> None:
    """My token has ended when two hundred requests of mine come at once: none fails, and I stay signed in."""
    one, two = await together(cloud.replica("one"), cloud.replica("two"))
    ada = await visit("ada", at=one)
    cloud.auth.project.token_lifetime_s = 8
    assert (await ada.sign_in()).status_code == 200
    async with (
        ada.at(two.public) as ada_at_two,
        httpx.AsyncClient(base_url=cloud.auth.url, trust_env=False, verify=NO_TLS) as auth,
        asyncpg.create_pool(database.admin_dsn, min_size=1, max_size=1) as rows,
    ):
        both = (ada, ada_at_two)
        assert statuses(await together(*(who.http.get("/env", headers=FETCH) for who in both))) == [200] * 2
        cloud.auth.project.token_lifetime_s = 3600  # the next one lasts

        async def token_ended() -> bool:
            return bool(await rows.fetchval("select access_expires_at < now() from gateway.sessions"))

        async def one_waits_for_the_other() -> bool:
            return bool(await rows.fetchval("select exists (select from pg_locks where not granted)"))

        await until(token_ended)
        await auth.delete("/_local/requests")
        cloud.auth.faults.add(Fault(path="/auth/v1/token*", kind="hold", times=None))  # so that the two really meet
        asking = asyncio.ensure_future(together(*(who.http.get("/env", headers=FETCH) for who in both * 100)))
        await until(one_waits_for_the_other)
        cloud.auth.faults.clear()
        assert statuses(await asking) == [200] * 200
        counted = (await auth.get("/_local/requests")).json()
        assert counted["POST /auth/v1/token?grant_type=refresh_token"] == {"count": 1, "statuses": {"200": 1}}
        answers = await together(*(who.http.get("/env", headers=FETCH) for who in both))
        assert [(answer.status_code, answer.history) for answer in answers] == [(200, [])] * 2
        assert await rows.fetchval(
            "select min(access_expires_at) > now() + interval '30 minutes' from gateway.sessions"
        )


async def test_a_replica_does_not_put_to_sleep_what_another_one_serves(cloud: Served, visit: Visit) -> None:
    """My long request goes through one gateway; the other one's tidying up does not end it."""
    sleepy = {"SUSPEND_AFTER_S": "1", "SWEEP_EVERY_S": "0.3", "TOUCH_EVERY_S": "0.3"}
    one, two = await together(cloud.replica("one", **sleepy), cloud.replica("two", **sleepy))
    ada = await visit("ada", at=one)
    async with ada.at(two.public) as ada_at_two, operator_of(one) as operator:
        answer = await ada_at_two.http.get("/sleep?ms=4200")
        assert (answer.status_code, answer.text) == (200, "slept")
        assert "suspending" not in await operator.states(ada.email)


DEATHS: Final = {
    "while the disk is made": ("create_volume", "begun"),
    "while the machine is made": ("create_machine", "begun"),
    "after the machine was made": ("create_machine", "answered"),
}


async def test_a_gateway_killed_while_it_makes_a_machine_leaves_one_that_works(cloud: Served, visit: Visit) -> None:
    """The gateway dies in the worst moment of my first visit: I reload, and have one Jarvis, not two."""
    cloud.fly.latencies.create = cloud.fly.latencies.start = 0.4
    gateway = await cloud.replica("one")
    for moment, (action, when) in DEATHS.items():
        ada = await visit("ada", at=gateway, next_path="/_gateway/instance")
        cloud.fly.calls.reset()
        if when == "begun":
            # Fly does its work all the same; only nobody is left to hear of it.
            cloud.fly.faults.add({"match": {"action": action}, "fault": {"kind": "delay", "seconds": 0.4}})
        first = asyncio.ensure_future(ada.http.get("/env", headers=FETCH))
        await until(lambda action=action, when=when: reached(cloud, action, when), what=moment)
        await asyncio.to_thread(gateway.program.kill)
        await asyncio.wait({first})
        assert isinstance(first.exception(), httpx.TransportError), moment
        gateway = await cloud.replica("one")
        assert (await ada.env())["USER_EMAIL"] == ada.email, moment
        async with operator_of(gateway) as operator:
            assert len(await operator.volumes(ada.email)) == 1, moment
            shown = await operator.show(ada.email)
            assert (shown["state"], shown["machine_id"]) == ("active", (await operator.machine(ada.email))["id"])


async def reached(cloud: Served, action: str, when: str) -> bool:
    calls = [call for call in cloud.fly.calls.latest if call["action"] == action]
    return any(when == "begun" or call["status"] == 200 for call in calls)


async def test_a_visit_survives_the_death_of_the_replica_that_was_at_work(
    cloud: Served, database: Database, visit: Visit
) -> None:
    """One of two gateways dies while it makes my machine; the other finishes the work when I come to it."""
    cloud.fly.latencies.create = cloud.fly.latencies.start = 0.4
    one, two = await together(cloud.replica("one"), cloud.replica("two"))
    ada = await visit("ada", at=one, next_path="/_gateway/instance")
    first = asyncio.ensure_future(ada.http.get("/env", headers=FETCH))

    async def at_work() -> bool:
        return bool(cloud.fly.calls.counts["create_machine"])

    await until(at_work)
    await asyncio.to_thread(one.program.kill)
    await asyncio.wait({first})
    assert first.exception() is not None
    clock = await asyncpg.connect(database.admin_dsn)
    try:  # as if the time for which the dead one had taken the work were over
        await clock.execute("update gateway.instance_leases set until = now()")
    finally:
        await clock.close()
    async with ada.at(two.public) as ada_at_two, operator_of(two) as operator:
        assert (await ada_at_two.env())["USER_EMAIL"] == ada.email
        assert len(await operator.machines(ada.email)) == 1
