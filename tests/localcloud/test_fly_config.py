"""What Fly makes of a config, where it sends a Machine, and which address that gets: plain functions."""

from typing import Any

import pytest

from localcloud.fly.addresses import Addresses, listen_on
from localcloud.fly.config import complete, image_ref, seconds, unsuspendable_because
from localcloud.fly.errors import Refused
from localcloud.fly.regions import resolve


def test_defaults_are_filled_in_and_the_rest_is_kept() -> None:
    assert complete({"image": "x", "env": {"A": "1"}, "metadata": {"a": "b", "empty": ""}}) == {
        "image": "x",
        "env": {"A": "1"},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
        "init": {},
        "restart": {"policy": "on-failure", "max_retries": 10},
        "metadata": {"a": "b"},
    }


def test_the_callers_config_is_not_touched() -> None:
    given: dict[str, Any] = {"image": "x", "guest": {"cpus": 2}}
    complete(given)
    assert given == {"image": "x", "guest": {"cpus": 2}}


@pytest.mark.parametrize(
    ("config", "guest"),
    [
        ({"guest": {"cpus": 2}}, ("shared", 2, 512)),
        ({"guest": {"cpu_kind": "performance"}}, ("performance", 1, 2048)),
        ({"guest": {"cpus": 1, "memory_mb": 2048}}, ("shared", 1, 2048)),
        ({"size": "shared-cpu-4x"}, ("shared", 4, 1024)),
        ({"size": "performance-2x"}, ("performance", 2, 4096)),
    ],
)
def test_guests(config: dict[str, Any], guest: tuple[str, int, int]) -> None:
    made = complete({"image": "x"} | config)["guest"]
    assert (made["cpu_kind"], made["cpus"], made["memory_mb"]) == guest


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"guest": {"memory_mb": 2304}}, "config.guest.memory_mb"),
        ({"guest": {"memory_mb": 300}}, "config.guest.memory_mb"),
        ({"guest": {"cpu_kind": "performance", "memory_mb": 512}}, "config.guest.memory_mb"),
        ({"guest": {"cpus": 3}}, "config.guest.cpus"),
        ({"guest": {"cpu_kind": "quantum"}}, "config.guest.cpu_kind"),
        ({"size": "huge"}, "config.size"),
        ({"image": ""}, "config.image"),
        ({"stop_config": {"timeout": "soon"}}, "soon"),
    ],
)
def test_what_is_out_of_bounds_is_named(config: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused) as refused:
        complete({"image": "x"} | config)
    assert refused.value.status == 400
    assert named in str(refused.value.body["error"])


def test_two_gigabytes_can_be_suspended_and_no_more() -> None:
    assert unsuspendable_because(complete({"image": "x", "guest": {"cpus": 2, "memory_mb": 2048}})) is None
    assert unsuspendable_because(complete({"image": "x", "guest": {"cpus": 2, "memory_mb": 2304}}))


@pytest.mark.parametrize(
    ("duration", "length"), [("15s", 15.0), ("1m30s", 90.0), ("250ms", 0.25), ("1.5h", 5400.0), ("2m", 120.0)]
)
def test_durations_are_gos(duration: str, length: float) -> None:
    assert seconds(duration) == pytest.approx(length)


@pytest.mark.parametrize("duration", ["", "5", "s", "5 s", "1m x", "-1s"])
def test_bad_durations(duration: str) -> None:
    with pytest.raises(Refused):
        seconds(duration)


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("registry.fly.io/jarvis:v2", ("registry.fly.io", "jarvis", "v2", "")),
        ("registry.fly.io/jarvis@sha256:00", ("registry.fly.io", "jarvis", "", "sha256:00")),
        ("localhost:5000/a/b:1@sha256:00", ("localhost:5000", "a/b", "1", "sha256:00")),
        ("nginx", ("docker-hub-mirror.fly.io", "nginx", "", "")),
    ],
)
def test_image_references(image: str, parts: tuple[str, str, str, str]) -> None:
    ref = image_ref(image)
    assert (ref["registry"], ref["repository"], ref["tag"], ref["digest"]) == parts


@pytest.mark.parametrize(
    ("expression", "region"), [("fra", "fra"), (None, "iad"), ("", "iad"), ("any", "iad"), ("xxx,ams", "ams")]
)
def test_region_expressions(expression: str | None, region: str) -> None:
    assert resolve(expression, "iad") == region


def test_an_unknown_region() -> None:
    with pytest.raises(Refused):
        resolve("atlantis", "iad")


def test_addresses_differ_within_a_run_and_between_runs() -> None:
    one, other = Addresses(40000, system="linux"), Addresses(40001, system="linux")
    taken = [one.take() for _ in range(20)] + [other.take() for _ in range(20)]
    assert len(set(taken)) == 40
    assert all(address.startswith("127.") and int(address.split(".")[1]) >= 64 for address in taken)
    assert listen_on(taken[0]) == taken[0] + ":8080"


def test_where_only_one_loopback_address_exists_ports_differ() -> None:
    addresses = Addresses(40000, system="darwin")
    taken = [addresses.take() for _ in range(20)]
    assert len(set(taken)) == 20
    assert all(address.startswith("127.0.0.1:") for address in taken)
    assert listen_on(taken[0]) == taken[0]
