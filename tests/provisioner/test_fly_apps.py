"""The app that holds the Machines is made once, and is never somebody else's."""

import pytest

from provisioner.errors import (
    CloudBroken,
    CloudError,
    CloudSilent,
    NameTaken,
    NotAllowed,
)
from tests.parts.scripted_fly import (
    Drops,
    Says,
    fly_client,
    fly_clock,
    fly_script,
    refusal,
)

FIXTURES = (fly_client, fly_clock, fly_script)  # for pytest to find

OURS = Says(body={"name": "jarvis", "organization": {"slug": "acme"}})
THEIRS = Says(body={"name": "jarvis", "organization": {"slug": "umbrella"}})
TAKEN = refusal(422, "Validation failed: Name has already been taken", "name_taken")
NONE = refusal(404, "app not found")


async def test_leaves_an_app_that_is_there(fly, client):
    fly.on("GET", "/jarvis", OURS)
    await client.ensure_app("jarvis", "acme")
    assert len(fly.asked) == 1


async def test_makes_a_missing_one_and_waits_until_it_appears(fly, client):
    fly.on("GET", "/jarvis", NONE, refusal(401, ""), NONE, OURS)
    fly.on("POST", "", Says(201, {"id": "x", "created_at": 1}))
    await client.ensure_app("jarvis", "acme")
    assert fly.requests("POST")[0].body == {"app_name": "jarvis", "name": "jarvis", "org_slug": "acme"}


@pytest.mark.parametrize(
    "taken", [TAKEN, refusal(422, "uniqueness constraint violated"), refusal(409, "Name has already been taken")]
)
async def test_two_replicas_may_race_for_it(fly, client, taken):
    fly.on("GET", "/jarvis", NONE, OURS)
    fly.on("POST", "", taken)
    await client.ensure_app("jarvis", "acme")


@pytest.mark.parametrize("held", [THEIRS, refusal(403, "forbidden")])
async def test_never_uses_somebody_elses(fly, client, held):
    fly.on("GET", "/jarvis", held)
    with pytest.raises(NameTaken):
        await client.ensure_app("jarvis", "acme")
    fly.on("GET", "/jarvis", NONE, held)
    fly.on("POST", "", TAKEN)
    with pytest.raises(NameTaken):
        await client.ensure_app("jarvis", "acme")


async def test_a_bad_token_is_not_a_missing_app(fly, client):
    fly.on("GET", "/jarvis", refusal(401, "Authenticate: token validation error"))
    with pytest.raises(NotAllowed):
        await client.ensure_app("jarvis", "acme")
    assert fly.requests("POST") == []


# An app for one user -----------------------------------------------------------------------------------------------

NET = "jarvis-0123456789abcdef"
MINE = Says(body={"id": "app1", "name": "ada", "network": NET, "organization": {"slug": "personal"}})
ELSEWHERE = Says(body={"id": "app2", "name": "ada", "network": "default", "organization": {"slug": "personal"}})


async def test_an_app_in_its_own_network(fly, client):
    fly.on("POST", "", Says(201, {"id": "app1", "created_at": 1}))
    fly.on("GET", "/ada", NONE, refusal(401, ""), MINE)
    assert await client.create_app("ada", network=NET) == "app1"
    assert fly.requests("POST")[0].body["network"] == NET


@pytest.mark.parametrize("lost", [TAKEN, Drops(), refusal(500, "boom")])
async def test_one_that_was_made_unheard_is_found_and_known_by_its_network(fly, client, lost):
    fly.on("POST", "", lost)
    fly.on("GET", "/ada", MINE)
    assert await client.create_app("ada", network=NET) == "app1"
    fly.on("GET", "/ada", ELSEWHERE)
    with pytest.raises(NameTaken):
        await client.create_app("ada", network=NET)


async def test_a_create_that_did_nothing_fails_as_it_failed(fly, client):
    fly.on("POST", "", refusal(500, "boom"))
    fly.on("GET", "/ada", NONE)
    with pytest.raises(CloudBroken):
        await client.create_app("ada", network=NET)


async def test_its_address_leads_from_our_network(fly, client):
    path = "/ada/ip_assignments"
    fly.on("POST", path, Says(body={"ip": "fdaa:0:1::5"}))
    assert await client.assign_address("ada", network="") == "fdaa:0:1::5"
    assert fly.requests("POST")[0].body == {"type": "private_v6"}
    assert await client.assign_address("ada", network="office") == "fdaa:0:1::5"
    assert fly.requests("POST")[1].body == {"type": "private_v6", "network": "office"}


@pytest.mark.parametrize("said", [refusal(422, "already allocated"), refusal(409, "exists"), Drops(), Says(body={})])
async def test_an_address_it_has_already_is_the_one(fly, client, said):
    path = "/ada/ip_assignments"
    fly.on("POST", path, said)
    fly.on("GET", path, Says(body={"ips": [{"ip": "fdaa:0:1::5", "shared": False}]}))
    assert await client.assign_address("ada", network="") == "fdaa:0:1::5"
    fly.on("GET", path, Says(body={"ips": []}))
    with pytest.raises(CloudError):
        await client.assign_address("ada", network="")


async def test_an_app_is_deleted_when_it_is_gone(fly, client, clock):
    fly.on("GET", "/ada", MINE, MINE, MINE, NONE)
    fly.on("DELETE", "/ada", Says(202))
    await client.delete_app("ada", network=NET)
    assert fly.requests("DELETE")[0].params == [("force", "true")]
    assert len(fly.requests("GET")) == 4


@pytest.mark.parametrize("held", [NONE, ELSEWHERE, THEIRS, refusal(403, "forbidden")])
async def test_what_is_not_ours_is_not_deleted(fly, client, held):
    fly.on("GET", "/ada", held)
    await client.delete_app("ada", network=NET)
    assert fly.requests("DELETE") == []


async def test_one_that_does_not_go_is_said_to_be_there(fly, client):
    fly.on("GET", "/ada", MINE)
    fly.on("DELETE", "/ada", Says(202))
    with pytest.raises(CloudSilent):
        await client.delete_app("ada", network=NET)
