"""Fly's JSON in and out."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.fly.machine import (
    flycast_of,
    go_duration,
    machine_body,
    machine_of,
    machines_of,
    reached_of,
    volume_body,
    volume_of,
    volumes_of,
)
from provisioner.instance import MachineId
from provisioner.ports import Guest, Machine, MachineState, Volume
from tests.parts.scripted_fly import SPEC, machine


def test_a_machine_is_read_as_fly_describes_it():
    assert machine_of(machine(state="suspended")) == Machine(
        id=MachineId("148e272f0d3389"),
        name="jarvis-test-0123456789ab",
        state=MachineState.SUSPENDED,
        region="ams",
        version="01J0000000000000000000000A",
        private_ip="fdaa:0:1::2",
        volume_id="vol_1",
        image="registry.fly.io/jarvis@sha256:abc",
        metadata={"instance": "i-1", "gateway_env": "test", "deployment": "d1"},
        host_ok=True,
    )


def test_while_the_host_is_down_the_incomplete_config_still_tells_whose_it_is():
    config = machine()["config"]
    read = machine_of(machine(config=None, incomplete_config=config, host_status="unreachable"))
    assert (read.metadata["instance"], read.volume_id, read.host_ok) == ("i-1", "vol_1", False)


def test_without_any_config_the_image_comes_from_its_reference():
    ref = {"registry": "registry.fly.io", "repository": "jarvis", "tag": "v1", "digest": "sha256:abc"}
    bare = {"id": "1", "state": "started", "image_ref": ref, "host_status": "unknown"}
    assert machine_of(bare).image == "registry.fly.io/jarvis@sha256:abc"
    assert machine_of(bare | {"image_ref": ref | {"digest": ""}}).image == "registry.fly.io/jarvis:v1"
    assert (machine_of(bare).metadata, machine_of(bare).volume_id, machine_of(bare).host_ok) == ({}, None, False)


@pytest.mark.parametrize("word", ["hibernating", "", None, 7, ["started"], {}])
def test_a_state_we_never_met_is_unknown(word):
    assert machine_of(machine(state=word)).state is MachineState.UNKNOWN


def test_a_machine_without_an_address_has_none():
    assert machine_of(machine(private_ip="")).private_ip is None


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"id": ""}, {"id": 7}, {"id": "1", "config": ["x"]}])
def test_what_describes_no_machine_is_refused(payload):
    with pytest.raises(ValueError, match=r"expected|no id"):
        machine_of(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
half_machines = st.fixed_dictionaries(
    {"id": st.just("1")},
    optional=dict.fromkeys(("state", "config", "incomplete_config", "image_ref", "host_status", "name"), json_values),
)


@given(json_values | half_machines)
def test_any_json_is_read_or_refused(payload):
    for read in (machine_of, machines_of, volume_of, volumes_of, reached_of):
        with suppress(ValueError):
            read(payload)


def test_a_volume_is_read_as_fly_describes_it():
    payload = {"id": "vol_1", "name": "jarvis_data", "state": "created", "region": "ams", "size_gb": 1}
    volume = Volume(id="vol_1", name="jarvis_data", state="created", region="ams", size_gb=1, attached_machine_id=None)
    assert volume_of(payload | {"attached_machine_id": None}) == volume
    assert volume_of(payload | {"attached_machine_id": "148e"}).attached_machine_id == "148e"


def test_a_machine_is_made_private_suspendable_and_lasting():
    body = machine_body(SPEC)
    assert body == {
        "name": SPEC.name,
        "region": "ams",
        "skip_secrets": True,
        "config": {
            "image": SPEC.image,
            "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
            "env": SPEC.env,
            "metadata": SPEC.metadata,
            "mounts": [{"volume": "vol_1", "path": "/data"}],
            "services": [],
            "restart": {"policy": "on-failure", "max_retries": 10},
            "stop_config": {"signal": "SIGTERM", "timeout": "10s"},
            "auto_destroy": False,
        },
    }


def test_with_a_private_address_one_port_is_offered_that_fly_neither_wakes_nor_stops():
    """Bytes pass Fly Proxy as they are: a handler would read and rewrite heads."""
    config = machine_body(replace(SPEC, service_port=8080))["config"]
    (service,) = config["services"]
    assert (service["protocol"], service["internal_port"]) == ("tcp", 8080)
    assert service["ports"] == [{"port": 8080, "handlers": []}]
    assert (service["autostart"], service["autostop"]) == (False, "off")


@pytest.mark.parametrize(
    ("answer", "address"),
    [
        ({"ips": []}, None),
        ({"ips": [{"ip": "fdaa:0:1::2", "shared": False}]}, "fdaa:0:1::2"),
        ({"ips": [{"ip": "66.241.124.7", "shared": True}, {"ip": "2a09:8280:1::1"}, {"ip": "fdaa:9::3"}]}, "fdaa:9::3"),
        ({"ips": [{"ip": "fdaa:9::3", "egress": True}]}, None),
        ({"ips": [{"ip": "127.0.0.1:4711"}]}, "127.0.0.1:4711"),
        ({"ips": [{"ip": "nonsense"}]}, None),
        ({}, None),
    ],
)
def test_the_private_address_among_all(answer, address):
    assert flycast_of(answer) == address


@pytest.mark.parametrize(
    "state", ["scheduling_destroy", "waiting_for_detach", "pending_destroy", "destroying", "destroyed"]
)
def test_a_disk_on_its_way_out_is_not_listed(state):
    """For a day Fly lists what was deleted; to mount one again, or to delete it twice, would fail."""
    listed = volumes_of([{"id": "vol_1", "state": "created"}, {"id": "vol_2", "state": state}])
    assert [volume.id for volume in listed] == ["vol_1"]


def test_a_volume_is_asked_for_beside_room_for_its_machine():
    body = volume_body(name="jarvis_data", region="ams", size_gb=1, guest=Guest(memory_mb=2048))
    assert body["compute"] == {"cpu_kind": "shared", "cpus": 1, "memory_mb": 2048}
    assert (body["size_gb"], body["encrypted"], body["auto_backup_enabled"]) == (1, True, True)


def test_volumes_of_one_name_may_share_a_zone():
    """Fly's default would refuse the disk of the third or fourth user of a region."""
    assert volume_body(name="n", region="ams", size_gb=1, guest=Guest())["require_unique_zone"] is False


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(seconds=10), "10s"),
        (timedelta(minutes=2), "120s"),
        (timedelta(milliseconds=1500), "1.500s"),
        (timedelta(0), "0s"),
    ],
)
def test_durations_are_written_for_go(duration, text):
    assert go_duration(duration) == text
