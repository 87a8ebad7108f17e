"""Starting what may not be ready to be started."""

import pytest

from provisioner.errors import (
    LeaseHeld,
    NotThere,
    WrongState,
)
from tests.parts.scripted_fly import (
    ID,
    ONE,
    Says,
    fly_client,
    fly_clock,
    fly_script,
    not_startable,
    refusal,
)

FIXTURES = (fly_client, fly_clock, fly_script)  # for pytest to find


@pytest.mark.parametrize("state", ["started", "starting"])
async def test_of_what_is_up_already_is_a_success(fly, client, state):
    fly.on("POST", f"{ONE}/start", not_startable(state))
    await client.start("jarvis", ID)


@pytest.mark.parametrize(
    "passing",
    [
        not_startable("created"),
        not_startable("stopping"),
        refusal(412, "failed_precondition: machine getting replaced, refusing to start"),
        refusal(409, "aborted: machine update failed due to concurrent update"),
        refusal(409, f"machine ID {ID} lease currently held by x@tokens.fly.io, expires at 2026-01-01T00:00:05Z"),
    ],
)
async def test_is_asked_again_while_what_hinders_it_passes(fly, client, passing):
    fly.on("POST", f"{ONE}/start", passing, passing, passing, Says(body={"previous_state": "stopped"}))
    await client.start("jarvis", ID)
    assert len(fly.asked) == 4


@pytest.mark.parametrize(
    ("forever", "kind"),
    [(not_startable("created"), WrongState), (refusal(409, "lease currently held by x"), LeaseHeld)],
)
async def test_gives_up_after_ten_seconds(fly, client, clock, forever, kind):
    fly.on("POST", f"{ONE}/start", forever)
    with pytest.raises(kind):
        await client.start("jarvis", ID)
    assert 8 < clock.monotonic() <= 11


@pytest.mark.parametrize("state", ["destroyed", "destroying", "failed", "hibernating"])
async def test_is_refused_at_once_where_waiting_does_not_help(fly, client, state):
    fly.on("POST", f"{ONE}/start", not_startable(state))
    with pytest.raises(WrongState) as refused:
        await client.start("jarvis", ID)
    assert (refused.value.current, len(fly.asked)) == (state, 1)


async def test_of_a_machine_that_is_gone_says_so(fly, client):
    fly.on("POST", f"{ONE}/start", refusal(404, "machine not found"))
    with pytest.raises(NotThere):
        await client.start("jarvis", ID)


@pytest.mark.parametrize(
    ("answer", "resumes"),
    [
        ({"previous_state": "suspended"}, True),
        ({"previous_state": "suspended", "migrated": False, "new_host": ""}, True),
        ({"previous_state": "suspended", "migrated": True, "new_host": "4f2e"}, False),
        ({"previous_state": "stopped"}, False),
        ({"previous_state": "hibernated"}, False),
        ({"ok": True}, False),
        (["suspended"], False),
    ],
)
async def test_says_whether_it_comes_up_where_it_slept(fly, client, answer, resumes):
    """Then nothing of what is recorded has changed, and nobody need look."""
    fly.on("POST", f"{ONE}/start", Says(body=answer))
    assert await client.start("jarvis", ID) is resumes


async def test_one_that_is_up_already_may_be_anywhere(fly, client):
    fly.on("POST", f"{ONE}/start", not_startable("started"))
    assert await client.start("jarvis", ID) is False
