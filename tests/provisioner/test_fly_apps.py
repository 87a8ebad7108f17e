"""The app that holds the Machines is made once, and is never somebody else's."""

import pytest

from provisioner.errors import (
    NameTaken,
    NotAllowed,
)
from tests.parts.scripted_fly import (
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
