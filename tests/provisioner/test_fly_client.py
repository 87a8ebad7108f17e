"""The client against a server that says what Fly was seen to say, and loses what Fly was seen to lose."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import structlog

from provisioner.errors import (
    CloudBroken,
    CloudSilent,
    CloudUnreachable,
    LeaseHeld,
    NameTaken,
    NotAllowed,
    NotThere,
    RateLimited,
    WrongState,
)
from provisioner.fly.client import FlyClient
from provisioner.fly.machine import machine_of
from provisioner.fly.settings import FlySettings
from provisioner.instance import MachineId
from provisioner.ports import Guest, MachineSpec, MachineState
from tests.parts.scripted_fly import (
    TOKEN,
    Drops,
    Hangs,
    LeapingClock,
    Says,
    ScriptedFly,
    machine,
    refusal,
    scripted_fly,
)

ID = MachineId("148e272f0d3389")
ONE = f"/jarvis/machines/{ID}"
MANY = "/jarvis/machines"
METADATA = {"instance": "i-1", "gateway_env": "test", "deployment": "d1"}
SPEC = MachineSpec(
    name="jarvis-test-0123456789ab",
    region="ams",
    image="registry.fly.io/jarvis@sha256:abc",
    guest=Guest(),
    volume_id="vol_1",
    env={"USER_ID": "ada", "JARVIS_GUARD_KEYS": "k1:c2VjcmV0c2VjcmV0"},
    metadata=METADATA,
)
STARTED, STOPPED, SUSPENDED = MachineState.STARTED, MachineState.STOPPED, MachineState.SUSPENDED
LOST = [Drops(), refusal(500, "internal"), refusal(503, ""), refusal(408, "request timed out"), Says(200, "<html>")]
DUPLICATE = refusal(
    409,
    f'already_exists: unique machine name violation, machine ID {ID} already exists with name "{SPEC.name}"',
)


def not_startable(state: str) -> Says:
    return refusal(412, f"failed_precondition: unable to start machine from current state: '{state}'")


def ran_out(state: str) -> Says:
    return refusal(408, f"deadline_exceeded: machine failed to reach desired state, started, currently {state}")


@pytest.fixture
async def fly() -> AsyncIterator[ScriptedFly]:
    async with scripted_fly() as server:
        yield server


@pytest.fixture
def clock() -> LeapingClock:
    return LeapingClock()


@pytest.fixture
async def client(fly: ScriptedFly, clock: LeapingClock) -> AsyncIterator[FlyClient]:
    quick = timedelta(seconds=0.2)
    async with FlyClient.open(
        FlySettings(token=TOKEN, api_url=fly.url, ask_timeout=quick, act_timeout=quick), clock
    ) as it:
        yield it


class TestAnyCall:
    async def test_carries_the_token_in_its_own_scheme(self, fly, client):
        fly.on("GET", ONE, Says(body=machine()))
        assert await client.machine("jarvis", ID) == machine_of(machine())
        assert fly.asked[0].headers["authorization"] == f"FlyV1 {TOKEN}"

    async def test_uses_bearer_for_tokens_of_another_kind(self, fly, clock):
        fly.on("GET", ONE, Says(body=machine()))
        async with FlyClient.open(FlySettings(token="fo1_old", api_url=fly.url), clock) as client:
            await client.machine("jarvis", ID)
        assert fly.asked[0].headers["authorization"] == "Bearer fo1_old"

    @pytest.mark.parametrize("lost", [Drops(), Hangs(), refusal(502, ""), Says(200, "<html>")])
    async def test_that_only_asks_is_asked_again_when_the_answer_is_lost(self, fly, client, clock, lost):
        fly.on("GET", ONE, lost, lost, Says(body=machine()))
        assert (await client.machine("jarvis", ID)).id == ID
        assert (len(fly.asked), clock.slept) == (3, pytest.approx([0.15, 0.45]))

    async def test_that_only_asks_gives_up_after_three(self, fly, client):
        fly.on("GET", ONE, refusal(500, "internal"))
        with pytest.raises(CloudBroken) as broken:
            await client.machine("jarvis", ID)
        assert (len(fly.asked), broken.value.status, broken.value.request_id) == (3, 500, "01REQUEST-ams")

    @pytest.mark.parametrize(
        ("lost", "kind"), [(Drops(), CloudSilent), (Hangs(), CloudSilent), (refusal(500, ""), CloudBroken)]
    )
    async def test_that_acts_is_never_sent_twice_when_its_outcome_is_unknown(self, fly, client, lost, kind):
        fly.on("POST", f"{ONE}/start", lost)
        with pytest.raises(kind) as silent:
            await client.start("jarvis", ID)
        assert (len(fly.asked), silent.value.sure) == (1, False)

    async def test_without_a_connection_is_repeated_as_nothing_was_sent(self, clock):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound but not listening: refuses
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            async with FlyClient.open(FlySettings(token=TOKEN, api_url=url), clock) as client:
                with pytest.raises(CloudUnreachable) as refused:
                    await client.start("jarvis", ID)
        assert (len(clock.slept), refused.value.sure) == (2, True)

    async def test_waits_as_long_as_fly_asks_after_a_429(self, fly, client, clock):
        fly.on("POST", f"{ONE}/start", Says(429, None, {"Retry-After": "7"}), Says())
        await client.start("jarvis", ID)
        assert (len(fly.asked), clock.monotonic()) == (2, pytest.approx(7))

    async def test_makes_others_wait_too_after_a_429(self, fly, client, clock):
        fly.on("POST", f"{ONE}/start", Says(429, None, {"Retry-After": "600"}), Says())
        for _ in range(2):
            with pytest.raises(RateLimited) as limited:
                await client.start("jarvis", ID)
            assert limited.value.retry_after == pytest.approx(600)
        assert (len(fly.asked), clock.slept) == (1, [])

    async def test_backs_off_by_itself_if_a_429_does_not_say_how_long(self, fly, client, clock):
        fly.on(
            "GET", ONE, Says(429, "slow down", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), Says(body=machine())
        )
        await client.machine("jarvis", ID)
        assert clock.slept == pytest.approx([0.15])

    async def test_never_asks_more_than_fly_allows(self, fly, client, clock):
        fly.on("POST", f"{ONE}/suspend", Says(body={"ok": True}))
        for _ in range(10):
            await client.suspend("jarvis", ID)
        assert clock.monotonic() == pytest.approx(7 * 1.05)

    @pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a?b", "a b", "ä"])
    async def test_with_an_impossible_id_is_not_sent(self, fly, client, bad):
        """An empty id would delete, or list, something else."""
        for call in (
            client.destroy("jarvis", MachineId(bad)),
            client.machine(bad, ID),
            client.delete_volume("jarvis", bad),
        ):
            with pytest.raises(ValueError, match="cannot be an app or an id"):
                await call
        assert fly.asked == []

    async def test_leaves_one_line_in_the_log_and_no_secret(self, fly, client):
        fly.on("POST", MANY, Says(400, {"error": f"bad env {SPEC.env} for {TOKEN}"}, {"fly-request-id": "01R"}))
        with structlog.testing.capture_logs() as lines, pytest.raises(Exception, match="bad env") as refused:
            await client.create_machine("jarvis", SPEC)
        assert len(lines) == 1
        facts = {"event": "fly_called", "action": "create_machine", "app": "jarvis", "status": 400, "request_id": "01R"}
        assert facts.items() <= lines[0].items()
        for secret in (TOKEN, SPEC.env["JARVIS_GUARD_KEYS"]):
            assert secret not in repr((lines, refused.value))

    async def test_can_be_cancelled(self, fly, client):
        fly.on("GET", f"{ONE}/wait", Hangs())
        waiting = asyncio.create_task(
            client.wait("jarvis", machine_of(machine()), [STARTED], timeout=timedelta(minutes=1))
        )
        await fly.arrived.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def test_goes_over_a_connection_somebody_else_opened(self, fly, clock):
        fly.on("GET", MANY, Says(body=[]))
        async with httpx.AsyncClient() as http:
            assert await FlyClient(http, FlySettings(token=TOKEN, api_url=fly.url), clock).machines("jarvis", {}) == []


class TestCreate:
    async def test_makes_a_machine(self, fly, client):
        fly.on("POST", MANY, Says(body=machine()))
        made = await client.create_machine("jarvis", SPEC)
        assert (made.id, made.state, made.private_ip) == (ID, MachineState.CREATED, "fdaa:0:1::2")
        assert [asked.method for asked in fly.asked] == ["POST"]

    async def test_adopts_its_own_duplicate(self, fly, client):
        """Two replicas race for one user's first Machine: both get the same one."""
        fly.on("POST", MANY, DUPLICATE)
        fly.on("GET", ONE, refusal(404, "not found"), Says(body=machine()))
        assert (await client.create_machine("jarvis", SPEC)).id == ID

    async def test_finds_its_duplicate_by_name_where_fly_does_not_say_the_id(self, fly, client):
        fly.on("POST", MANY, refusal(422, "taken", "name_taken"))
        fly.on("GET", MANY, Says(body=[machine(id="1", name="other"), machine()]))
        assert (await client.create_machine("jarvis", SPEC)).id == ID

    @pytest.mark.parametrize(
        "metadata", [{}, METADATA | {"instance": "i-2"}, METADATA | {"deployment": "d2"}, {"instance": "i-1"}]
    )
    async def test_never_adopts_what_is_somebody_elses(self, fly, client, metadata):
        foreign = machine(config={"metadata": metadata})
        fly.on("POST", MANY, DUPLICATE)
        fly.on("GET", ONE, Says(body=foreign))
        with pytest.raises(NameTaken) as taken:
            await client.create_machine("jarvis", SPEC)
        assert taken.value.machine_id == ID

    @pytest.mark.parametrize("state", ["destroying", "destroyed", "launch_failed"])
    async def test_does_not_adopt_what_is_on_its_way_out(self, fly, client, state):
        fly.on("POST", MANY, DUPLICATE)
        fly.on("GET", ONE, Says(body=machine(state=state)))
        with pytest.raises(WrongState) as going:
            await client.create_machine("jarvis", SPEC)
        assert going.value.current == state

    async def test_gives_up_on_a_duplicate_that_nobody_can_see(self, fly, client, clock):
        fly.on("POST", MANY, DUPLICATE)
        fly.on("GET", ONE, refusal(404, "not found"))
        with pytest.raises(NameTaken):
            await client.create_machine("jarvis", SPEC)
        assert clock.monotonic() <= 2

    @pytest.mark.parametrize("lost", [*LOST, Hangs()])
    async def test_finds_what_a_lost_answer_has_made(self, fly, client, clock, lost):
        """The connection broke after Fly made the Machine: a retry must not make a second one."""
        fly.on("POST", MANY, lost)
        fly.on("GET", MANY, Says(body=[]), Says(body=[machine(name="older"), machine()]))
        assert (await client.create_machine("jarvis", SPEC)).id == ID
        assert (len(fly.requests("POST")), clock.slept) == (1, [1, 1])
        assert fly.requests("GET")[0].params == [(f"metadata.{key}", value) for key, value in METADATA.items()]

    @pytest.mark.parametrize("lost", LOST)
    async def test_tells_the_first_failure_if_nothing_was_made(self, fly, client, lost):
        fly.on("POST", MANY, lost)
        fly.on("GET", MANY, Says(body=[machine(state="destroyed"), machine(name="other")]), refusal(500, "list"))
        with pytest.raises((CloudSilent, CloudBroken), match="create_machine") as first:
            await client.create_machine("jarvis", SPEC)
        assert not first.value.sure

    async def test_makes_a_machine_that_may_take_a_moment_to_be_seen(self, fly, client, clock):
        fly.on("POST", MANY, Says(body=machine()))
        fly.on("GET", ONE, refusal(404, ""), refusal(404, ""), Says(body=machine(state="started")))
        fly.on("GET", f"{ONE}/wait", refusal(404, ""), Says(body={"ok": True, "state": "started"}))
        made = await client.create_machine("jarvis", SPEC)
        assert await client.wait("jarvis", made, [STARTED], timeout=timedelta(seconds=5)) is STARTED
        assert (await client.machine("jarvis", made.id)).state is STARTED

    async def test_makes_a_volume(self, fly, client):
        made = {"id": "vol_1", "name": "jarvis_data", "state": "created", "region": "ams", "size_gb": 1}
        fly.on("POST", "/jarvis/volumes", Says(body=made))
        volume = await client.create_volume("jarvis", name="jarvis_data", region="ams", size_gb=1, guest=Guest())
        assert (volume.id, volume.region) == ("vol_1", "ams")

    async def test_does_not_make_a_second_volume_when_the_answer_is_lost(self, fly, client):
        fly.on("POST", "/jarvis/volumes", Drops())
        with pytest.raises(CloudSilent):
            await client.create_volume("jarvis", name="jarvis_data", region="ams", size_gb=1, guest=Guest())
        assert len(fly.asked) == 1


class TestStart:
    @pytest.mark.parametrize("state", ["started", "starting"])
    async def test_of_what_is_up_already_is_a_success(self, fly, client, state):
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
    async def test_is_asked_again_while_what_hinders_it_passes(self, fly, client, passing):
        fly.on("POST", f"{ONE}/start", passing, passing, passing, Says(body={"previous_state": "stopped"}))
        await client.start("jarvis", ID)
        assert len(fly.asked) == 4

    @pytest.mark.parametrize(
        ("forever", "kind"),
        [(not_startable("created"), WrongState), (refusal(409, "lease currently held by x"), LeaseHeld)],
    )
    async def test_gives_up_after_ten_seconds(self, fly, client, clock, forever, kind):
        fly.on("POST", f"{ONE}/start", forever)
        with pytest.raises(kind):
            await client.start("jarvis", ID)
        assert 8 < clock.monotonic() <= 11

    @pytest.mark.parametrize("state", ["destroyed", "destroying", "failed", "hibernating"])
    async def test_is_refused_at_once_where_waiting_does_not_help(self, fly, client, state):
        fly.on("POST", f"{ONE}/start", not_startable(state))
        with pytest.raises(WrongState) as refused:
            await client.start("jarvis", ID)
        assert (refused.value.current, len(fly.asked)) == (state, 1)

    async def test_of_a_machine_that_is_gone_says_so(self, fly, client):
        fly.on("POST", f"{ONE}/start", refusal(404, "machine not found"))
        with pytest.raises(NotThere):
            await client.start("jarvis", ID)


class TestWait:
    async def wait(
        self, client: FlyClient, *states: MachineState, seconds: float = 10, **fields: object
    ) -> MachineState:
        return await client.wait("jarvis", machine_of(machine(**fields)), states, timeout=timedelta(seconds=seconds))

    async def test_names_the_states_the_version_and_the_time(self, fly, client):
        fly.on("GET", f"{ONE}/wait", Says(body={"ok": True, "state": "stopped"}))
        assert await self.wait(client, STOPPED, SUSPENDED) is STOPPED
        version = machine()["instance_id"]
        assert fly.asked[0].params == [
            ("state", "stopped"),
            ("state", "suspended"),
            ("timeout", "10"),
            ("version", version),
            ("instance_id", version),
        ]

    @pytest.mark.parametrize(("seconds", "sent"), [(0, "1"), (0.2, "1"), (1.5, "2"), (60, "60"), (3600, "60")])
    async def test_stays_within_what_fly_takes(self, fly, client, seconds, sent):
        fly.on("GET", f"{ONE}/wait", Says(body={"ok": True, "state": "started"}))
        await self.wait(client, STARTED, seconds=seconds)
        assert dict(fly.asked[0].params)["timeout"] == sent

    async def test_may_be_longer_than_any_other_call(self, fly, client):
        """The time Fly holds the answer is on top of the usual limit (0.2 s here)."""
        fly.on("GET", f"{ONE}/wait", Hangs())
        waiting = asyncio.create_task(self.wait(client, STARTED, seconds=60))
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
        waiting.cancel()

    async def test_looks_if_the_answer_does_not_say(self, fly, client):
        fly.on("GET", f"{ONE}/wait", Says(body={"ok": True}))
        fly.on("GET", ONE, Says(body=machine(state="started")), Says(body=machine(state="failed")))
        assert await self.wait(client, STARTED) is STARTED
        with pytest.raises(WrongState) as other:
            await self.wait(client, STARTED)
        assert other.value.current == "failed"

    async def test_that_runs_out_names_the_state_it_is_in(self, fly, client):
        fly.on("GET", f"{ONE}/wait", ran_out("stopped"))
        with pytest.raises(WrongState) as late:
            await self.wait(client, STARTED)
        assert (late.value.current, len(fly.asked)) == ("stopped", 1)

    @pytest.mark.parametrize("status", [400, 408, 412])
    async def test_goes_on_with_the_new_version_of_a_replaced_one(self, fly, client, status):
        replaced = refusal(status, "machine failed to reach desired state, started, currently replaced")
        fly.on("GET", f"{ONE}/wait", replaced, Says(body={"ok": True, "state": "started"}))
        fly.on("GET", ONE, Says(body=machine(instance_id="01NEW")))
        assert await self.wait(client, STARTED) is STARTED
        assert dict(fly.asked[-1].params)["version"] == "01NEW"

    async def test_follows_a_replacement_once(self, fly, client):
        fly.on("GET", f"{ONE}/wait", ran_out("replaced"))
        fly.on("GET", ONE, Says(body=machine(instance_id="01NEW")))
        with pytest.raises(WrongState):
            await self.wait(client, STARTED)
        assert len(fly.requests("GET", f"{ONE}/wait")) == 2

    async def test_learns_the_version_first_if_it_does_not_know_it(self, fly, client):
        fly.on("GET", ONE, Says(body=machine(instance_id="01NEW")))
        fly.on("GET", f"{ONE}/wait", Says(body={"ok": True, "state": "started"}))
        await self.wait(client, STARTED, instance_id="")
        assert dict(fly.asked[-1].params)["version"] == "01NEW"

    async def test_for_the_end_of_what_is_gone_is_over(self, fly, client):
        fly.on("GET", f"{ONE}/wait", refusal(404, "machine not found"))
        assert await self.wait(client, MachineState.DESTROYED) is MachineState.DESTROYED
        with pytest.raises(NotThere):
            await self.wait(client, STARTED)

    async def test_resumes_with_the_rest_of_its_time_when_an_answer_is_lost(self, fly, client):
        fly.on("GET", f"{ONE}/wait", Drops(), refusal(502, ""), Says(body={"state": "started"}))
        assert await self.wait(client, STARTED) is STARTED
        assert [dict(asked.params)["timeout"] for asked in fly.asked] == ["10", "10", "9"]

    async def test_for_what_fly_cannot_wait_for_is_our_mistake(self, fly, client):
        for states in ([], [MachineState.STARTING]):
            with pytest.raises(ValueError, match="Fly can wait for"):
                await self.wait(client, *states)


class TestSleepAndEnd:
    async def test_stop_says_how(self, fly, client):
        fly.on("POST", f"{ONE}/stop", Says(body={"ok": True}))
        await client.stop("jarvis", ID, signal="SIGTERM", timeout=timedelta(seconds=10))
        assert fly.asked[0].body == {"signal": "SIGTERM", "timeout": "10s"}

    async def test_of_what_sleeps_already_is_a_success(self, fly, client):
        fly.on("POST", f"{ONE}/stop", refusal(412, "machine is currently stopped"))
        fly.on("POST", f"{ONE}/suspend", refusal(412, "unable to suspend machine from current state: 'suspended'"))
        await client.stop("jarvis", ID, signal="SIGTERM", timeout=timedelta(seconds=10))
        await client.suspend("jarvis", ID)

    async def test_a_refused_suspend_tells_why(self, fly, client):
        fly.on("POST", f"{ONE}/suspend", refusal(412, "unable to suspend machine from current state: 'stopped'"))
        with pytest.raises(WrongState) as refused:
            await client.suspend("jarvis", ID)
        assert refused.value.current == "stopped"

    async def test_destroy_is_forced_and_may_find_nothing(self, fly, client):
        fly.on("DELETE", ONE, Says(body={"ok": True}), refusal(404, ""), refusal(409, "machine is destroying"))
        for _ in range(3):
            await client.destroy("jarvis", ID)
        assert fly.asked[0].params == [("force", "true")]

    async def test_deletes_are_repeated_when_the_answer_is_lost(self, fly, client):
        fly.on("DELETE", ONE, Drops(), refusal(404, ""))
        fly.on("DELETE", "/jarvis/volumes/vol_1", refusal(502, ""), Says(body={"id": "vol_1"}))
        await client.destroy("jarvis", ID)
        await client.delete_volume("jarvis", "vol_1")
        assert len(fly.asked) == 4

    async def test_a_destroyed_machine_is_no_machine(self, fly, client):
        fly.on("GET", ONE, Says(body=machine(state="destroyed")), refusal(404, ""))
        assert [await client.machine("jarvis", ID), await client.machine("jarvis", ID)] == [None, None]


class TestLists:
    async def test_machines_are_ours_only(self, fly, client):
        """A reconciler destroys by this list: what Fly's filter lets through is compared once more."""
        unreachable = {"config": None, "host_status": "unreachable"}
        foreign = {"config": {"metadata": METADATA | {"deployment": "d2"}}}
        fly.on(
            "GET",
            MANY,
            Says(
                body=[
                    machine(id="1"),
                    machine(id="2", **foreign),
                    machine(id="3", **unreachable),
                    machine(id="4", state="destroyed"),
                ]
            ),
        )
        assert [found.id for found in await client.machines("jarvis", METADATA)] == ["1", "3"]

    async def test_volumes(self, fly, client):
        fly.on("GET", "/jarvis/volumes", Says(body=[{"id": "vol_1", "size_gb": 1}]))
        assert [volume.id for volume in await client.volumes("jarvis")] == ["vol_1"]


class TestEnsureApp:
    OURS = Says(body={"name": "jarvis", "organization": {"slug": "acme"}})
    THEIRS = Says(body={"name": "jarvis", "organization": {"slug": "umbrella"}})
    TAKEN = refusal(422, "Validation failed: Name has already been taken", "name_taken")
    NONE = refusal(404, "app not found")

    async def test_leaves_an_app_that_is_there(self, fly, client):
        fly.on("GET", "/jarvis", self.OURS)
        await client.ensure_app("jarvis", "acme")
        assert len(fly.asked) == 1

    async def test_makes_a_missing_one_and_waits_until_it_appears(self, fly, client):
        fly.on("GET", "/jarvis", self.NONE, refusal(401, ""), self.NONE, self.OURS)
        fly.on("POST", "", Says(201, {"id": "x", "created_at": 1}))
        await client.ensure_app("jarvis", "acme")
        assert fly.requests("POST")[0].body == {"app_name": "jarvis", "name": "jarvis", "org_slug": "acme"}

    @pytest.mark.parametrize(
        "taken", [TAKEN, refusal(422, "uniqueness constraint violated"), refusal(409, "Name has already been taken")]
    )
    async def test_two_replicas_may_race_for_it(self, fly, client, taken):
        fly.on("GET", "/jarvis", self.NONE, self.OURS)
        fly.on("POST", "", taken)
        await client.ensure_app("jarvis", "acme")

    @pytest.mark.parametrize("held", [THEIRS, refusal(403, "forbidden")])
    async def test_never_uses_somebody_elses(self, fly, client, held):
        fly.on("GET", "/jarvis", held)
        with pytest.raises(NameTaken):
            await client.ensure_app("jarvis", "acme")
        fly.on("GET", "/jarvis", self.NONE, held)
        fly.on("POST", "", self.TAKEN)
        with pytest.raises(NameTaken):
            await client.ensure_app("jarvis", "acme")

    async def test_a_bad_token_is_not_a_missing_app(self, fly, client):
        fly.on("GET", "/jarvis", refusal(401, "Authenticate: token validation error"))
        with pytest.raises(NotAllowed):
            await client.ensure_app("jarvis", "acme")
        assert fly.requests("POST") == []
