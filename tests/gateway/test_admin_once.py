"""A change that is sent twice under one key is made once."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp.test_utils import TestClient

from tests.parts.admin import AUTH
from tests.parts.back import APP, Back, somebody

ADA = {"name": "ada", "role": "viewer"}


def keyed(key: str) -> dict[str, str]:
    return {**AUTH, "Idempotency-Key": key}


async def test_the_same_change_again_gets_the_same_answer(back: Back, admin: TestClient) -> None:
    """An answer that was lost on the way, a token that is shown once among them, can be asked for again."""
    first = await admin.post("/v1/operators", headers=keyed("k-1"), json=ADA)
    again = await admin.post("/v1/operators", headers=keyed("k-1"), json=ADA)
    assert (first.status, again.status) == (201, 201)
    assert await first.read() == await again.read()
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    token = (await first.json())["token"]
    kept = await back.pool.fetchrow("select * from gateway.idempotency_keys")
    assert token.encode() not in kept["sealed"]


async def test_a_key_belongs_to_one_request_of_one_operator(admin: TestClient) -> None:
    made = await admin.post("/v1/operators", headers=keyed("k-1"), json={**ADA, "role": "owner"})
    other = await admin.post("/v1/operators", headers=keyed("k-1"), json={**ADA, "name": "bob"})
    assert other.status == 422
    hers = {"Authorization": f"Bearer {(await made.json())['token']}", "Idempotency-Key": "k-1"}
    assert (await admin.post("/v1/operators", headers=hers, json={**ADA, "name": "bob"})).status == 201


async def test_a_refusal_is_not_remembered(back: Back, admin: TestClient) -> None:
    """What was not done may be tried again under its key."""
    ada = somebody()
    url = f"/v1/instances/{ada.user_id}"
    assert (await admin.delete(url, headers=keyed("k"))).status == 404
    await back.store.create(
        ada.user_id, email="x@y.z", app_name=APP, machine_name="m", region="iad", image="g", actor="test"
    )
    for _ in range(2):
        assert (await admin.delete(url, headers=keyed("k"))).status == 204
    assert await back.store.find(ada.user_id) is None


async def test_while_the_change_is_being_made_the_key_is_taken(back: Back, admin: TestClient) -> None:
    ada = somebody()
    await back.ready(ada)
    back.fly.faults.add({"match": {"action": "stop_machine"}, "fault": {"kind": "delay", "seconds": 1.0}})
    url = f"/v1/instances/{ada.user_id}/stop"
    first = asyncio.create_task(admin.post(url, headers=keyed("k")))
    await back.asked("stop_machine")
    assert (await admin.post(url, headers=keyed("k"))).status == 409
    assert (await first).status == 200
    assert (await admin.post(url, headers=keyed("k"))).headers["Idempotency-Replayed"] == "true"


async def test_what_a_dead_replica_began_may_be_begun_again(back: Back, admin: TestClient) -> None:
    """Ten minutes later, and by the same request; and a day later the key is anybody's."""
    assert (await admin.post("/v1/operators", headers=keyed("k"), json=ADA)).status == 201
    age = "update gateway.idempotency_keys set begun_at = begun_at - $1::interval"
    forget = "update gateway.idempotency_keys set status = null, content_type = null, sealed = null"
    await back.pool.execute(forget)
    assert (await admin.post("/v1/operators", headers=keyed("k"), json=ADA)).status == 409
    await back.pool.execute(age, timedelta(minutes=11))
    taken = await admin.post("/v1/operators", headers=keyed("k"), json=ADA)
    assert "Name taken" in await taken.text()
    assert (await admin.post("/v1/operators", headers=keyed("k"), json={**ADA, "name": "bob"})).status == 201
    await back.pool.execute(age, timedelta(days=2))
    assert (await admin.post("/v1/operators", headers=keyed("k"), json={**ADA, "name": "cyd"})).status == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
async def test_what_is_no_key_is_refused(admin: TestClient, key: str) -> None:
    assert (await admin.post("/v1/operators", headers=keyed(key), json=ADA)).status == 400
