"""Every request we can send, held against Fly's own description of its API."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.fly import calls
from provisioner.fly.machine import machine_body, update_body
from provisioner.ports import Guest, MachineState
from tests.parts.fly_openapi import needs_document, request_problems, schema_problems
from tests.parts.scripted_fly import ID, SPEC, machine

EVERY = [
    calls.get_app("jarvis"),
    calls.create_app("jarvis", "acme"),
    calls.create_app("jarvis", "acme", network="net-1"),
    calls.delete_app("jarvis"),
    calls.assign_address("jarvis", network="net-2"),
    calls.assign_address("jarvis", network=""),
    calls.list_addresses("jarvis"),
    calls.create_volume("jarvis", name="jarvis_data", region="ams", size_gb=1, guest=Guest()),
    calls.list_volumes("jarvis"),
    calls.delete_volume("jarvis", "vol_1"),
    calls.create_machine("jarvis", SPEC),
    calls.create_machine("jarvis", replace(SPEC, service_port=8080)),
    calls.list_machines("jarvis", {"instance": "i-1", "gateway_env": "test"}),
    calls.get_machine("jarvis", ID),
    calls.start("jarvis", ID),
    calls.stop("jarvis", ID, signal="SIGTERM", timeout=timedelta(seconds=10)),
    calls.suspend("jarvis", ID),
    calls.wait("jarvis", ID, version="01J", states=[MachineState.STARTED, MachineState.FAILED], seconds=5),
    calls.destroy("jarvis", ID),
    calls.get_volume("jarvis", "vol_1"),
    calls.extend_volume("jarvis", "vol_1", 5),
    calls.update_machine(
        "jarvis",
        ID,
        update_body(
            {**machine_body(SPEC)["config"], "dns": {"skip_registration": True}},  # type: ignore[dict-item]
            version="01J",
            image="golden@sha256:1",
            guest=Guest(memory_mb=1024),
        ),
    ),
]


def problems(call: calls.Call[object]) -> list[str]:
    return request_problems(call.method, call.path, list(call.params), call.body)


@needs_document
@pytest.mark.parametrize("call", EVERY, ids=lambda call: call.action)
def test_fly_takes_every_call_we_send(call):
    assert problems(call) == []


@needs_document
def test_the_judge_would_notice():
    """A document that accepts everything proves nothing."""
    create = next(call for call in EVERY if call.action == "create_machine")
    wait = next(call for call in EVERY if call.action == "wait")
    assert create.body is not None
    for wrong in (
        replace(create, body={**create.body, "nmae": "x"}),
        replace(create, body={**create.body, "config": {"image": 7}}),
        replace(create, body={**create.body, "config": {"restart": {"policy": "sometimes"}}}),
        replace(create, body=None),
        replace(create, path="/v1/apps/jarvis/machine"),
        replace(wait, params=[("state", "sleeping")]),
        replace(wait, params=[("timeout", "60s")]),
        replace(wait, params=[("until", "60")]),
        replace(wait, body={}),
    ):
        assert problems(wrong), wrong


@needs_document
def test_the_machine_our_tests_speak_of_is_one_of_flys():
    assert schema_problems("Machine", machine()) == []


def test_what_may_be_repeated_blindly():
    """An outcome nobody knows may be made twice only by asking, and by deleting what has an id of its own."""
    assert {call.action for call in EVERY if not call.repeatable} == {
        "create_app",
        "assign_address",
        "create_volume",
        "create_machine",
        "start",
        "stop",
        "suspend",
        "update_machine",
        "extend_volume",
    }


def test_each_call_counts_against_a_machine_or_its_app():
    for call in EVERY:
        of_a_machine = call.path.startswith(f"/v1/apps/jarvis/machines/{ID}")
        expected = "" if call.action == "delete_app" else ID if of_a_machine else "jarvis"
        assert (call.target if call.budget is None else call.budget) == expected


def test_what_goes_into_a_machine_does_not_show():
    assert "c2VjcmV0" not in repr(calls.create_machine("jarvis", SPEC))
    assert calls.create_machine("jarvis", SPEC).hide == {"k1:c2VjcmV0c2VjcmV0"}
