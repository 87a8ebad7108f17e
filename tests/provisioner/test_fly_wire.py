"""What every call to Fly has in common: its token, its turn, its repeats, its line in the log."""

import asyncio
import socket
from datetime import timedelta

import pytest
import structlog

from provisioner.connections import connections
from provisioner.errors import (
    CloudBroken,
    CloudSilent,
    CloudUnreachable,
    RateLimited,
    Refused,
)
from provisioner.fly.client import FlyClient
from provisioner.fly.machine import machine_of
from provisioner.fly.settings import FlySettings
from provisioner.instance import MachineId
from provisioner.ports import MachineState
from tests.parts.scripted_fly import (
    ID,
    MANY,
    ONE,
    SPEC,
    TOKEN,
    Drops,
    Hangs,
    Says,
    fly_client,
    fly_clock,
    fly_script,
    machine,
    refusal,
)

FIXTURES = (fly_client, fly_clock, fly_script)  # for pytest to find


async def test_carries_the_token_in_its_own_scheme(fly, client):
    fly.on("GET", ONE, Says(body=machine()))
    assert await client.machine("jarvis", ID) == machine_of(machine())
    assert fly.asked[0].headers["authorization"] == f"FlyV1 {TOKEN}"


async def test_uses_bearer_for_tokens_of_another_kind(fly, clock):
    fly.on("GET", ONE, Says(body=machine()))
    async with FlyClient.open(FlySettings(token="fo1_old", api_url=fly.url), clock) as client:
        await client.machine("jarvis", ID)
    assert fly.asked[0].headers["authorization"] == "Bearer fo1_old"


@pytest.mark.parametrize("lost", [Drops(), Hangs(), refusal(502, ""), Says(200, "<html>")])
async def test_that_only_asks_is_asked_again_when_the_answer_is_lost(fly, client, clock, lost):
    fly.on("GET", ONE, lost, lost, Says(body=machine()))
    assert (await client.machine("jarvis", ID)).id == ID
    assert (len(fly.asked), clock.slept) == (3, pytest.approx([0.15, 0.45]))


async def test_that_only_asks_gives_up_after_three(fly, client):
    fly.on("GET", ONE, refusal(500, "internal"))
    with pytest.raises(CloudBroken) as broken:
        await client.machine("jarvis", ID)
    assert (len(fly.asked), broken.value.status, broken.value.request_id) == (3, 500, "01REQUEST-ams")


@pytest.mark.parametrize(
    ("lost", "kind"), [(Drops(), CloudSilent), (Hangs(), CloudSilent), (refusal(500, ""), CloudBroken)]
)
async def test_that_acts_is_never_sent_twice_when_its_outcome_is_unknown(fly, client, lost, kind):
    fly.on("POST", f"{ONE}/start", lost)
    with pytest.raises(kind) as silent:
        await client.start("jarvis", ID)
    assert (len(fly.asked), silent.value.sure) == (1, False)


async def test_without_a_connection_is_repeated_as_nothing_was_sent(clock):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refuses
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with FlyClient.open(FlySettings(token=TOKEN, api_url=url), clock) as client:
            with pytest.raises(CloudUnreachable) as refused:
                await client.start("jarvis", ID)
    assert (len(clock.slept), refused.value.sure) == (2, True)


async def test_waits_as_long_as_fly_asks_after_a_429(fly, client, clock):
    fly.on("POST", f"{ONE}/start", Says(429, None, {"Retry-After": "7"}), Says())
    await client.start("jarvis", ID)
    assert (len(fly.asked), clock.monotonic()) == (2, pytest.approx(7))


async def test_makes_others_wait_too_after_a_429(fly, client, clock):
    fly.on("POST", f"{ONE}/start", Says(429, None, {"Retry-After": "600"}), Says())
    for _ in range(2):
        with pytest.raises(RateLimited) as limited:
            await client.start("jarvis", ID)
        assert limited.value.retry_after == pytest.approx(600)
    assert (len(fly.asked), clock.slept) == (1, [])


async def test_backs_off_by_itself_if_a_429_does_not_say_how_long(fly, client, clock):
    fly.on("GET", ONE, Says(429, "slow down", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), Says(body=machine()))
    await client.machine("jarvis", ID)
    assert clock.slept == pytest.approx([0.15])


async def test_never_asks_more_than_fly_allows(fly, client, clock):
    fly.on("POST", f"{ONE}/suspend", Says(body={"ok": True}))
    for _ in range(10):
        await client.suspend("jarvis", ID)
    assert clock.monotonic() == pytest.approx(8)


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a?b", "a b", "ä"])
async def test_with_an_impossible_id_is_not_sent(fly, client, bad):
    """An empty id would delete, or list, something else."""
    for call in (
        client.destroy("jarvis", MachineId(bad)),
        client.machine(bad, ID),
        client.delete_volume("jarvis", bad),
    ):
        with pytest.raises(ValueError, match="cannot be an app or an id"):
            await call
    assert fly.asked == []


async def test_leaves_one_line_in_the_log_and_no_secret(fly, client):
    fly.on("POST", MANY, Says(400, {"error": f"bad env {SPEC.env} for {TOKEN}"}, {"fly-request-id": "01R"}))
    with structlog.testing.capture_logs() as lines, pytest.raises(Exception, match="bad env") as refused:
        await client.create_machine("jarvis", SPEC)
    assert len(lines) == 1
    facts = {"event": "fly_called", "action": "create_machine", "app": "jarvis", "status": 400, "request_id": "01R"}
    assert facts.items() <= lines[0].items()
    for secret in (TOKEN, SPEC.env["JARVIS_GUARD_KEYS"]):
        assert secret not in repr((lines, refused.value))


async def test_counts_how_every_try_ended_and_tells_it_once(fly, client):
    """An answer that says how something stands is no failure; what we gave up ourselves is neither."""
    fly.on("GET", ONE, refusal(502, ""), Says(body=machine()), refusal(404, "machine not found"))
    fly.on("POST", MANY, Says(400, {"error": "bad env"}))
    await client.machine("jarvis", ID)
    assert await client.machine("jarvis", ID) is None
    with pytest.raises(Refused):
        await client.create_machine("jarvis", SPEC)
    assert client.take_ended() == {"CloudBroken": 1, "answered": 2, "Refused": 1}
    assert client.take_ended() == {}


async def test_can_be_cancelled(fly, client):
    fly.on("GET", f"{ONE}/wait", Hangs())
    waiting = asyncio.create_task(
        client.wait("jarvis", machine_of(machine()), [MachineState.STARTED], timeout=timedelta(minutes=1))
    )
    await fly.arrived.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_goes_over_a_connection_somebody_else_opened(fly, clock):
    fly.on("GET", MANY, Says(body=[]))
    async with connections(keep=True) as http:
        assert await FlyClient(http, FlySettings(token=TOKEN, api_url=fly.url), clock).machines("jarvis", {}) == []
