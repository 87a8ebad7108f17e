"""The local Fly takes what Fly's OpenAPI document describes, refuses what it forbids, and answers in its shapes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from localcloud.fly import LocalFly, requests
from localcloud.fly.shapes import BOOLEAN, INTEGER, NUMBER, OBJECT, STRING, Kind, ListOf, MapOf, OneOf, Shape
from tests.parts.fly_document import ContractCaller, fly_document
from tests.parts.local_fly import FlyCaller

pytest_plugins = ("tests.parts.fly_fixtures",)

BODIES = {
    "CreateAppRequest": requests.CREATE_APP,
    "assignIPRequest": requests.ASSIGN_IP,
    "CreateMachineRequest": requests.CREATE_MACHINE,
    "UpdateMachineRequest": requests.UPDATE_MACHINE,
    "StopRequest": requests.STOP,
    "SignalRequest": requests.SIGNAL,
    "CreateLeaseRequest": requests.CREATE_LEASE,
    "updateMetadataRequest": requests.UPDATE_METADATA,
    "upsertMetadataKeyRequest": requests.UPSERT_METADATA_KEY,
    "MachineExecRequest": requests.MACHINE_EXEC,
    "CreateVolumeRequest": requests.CREATE_VOLUME,
    "UpdateVolumeRequest": requests.UPDATE_VOLUME,
    "ExtendVolumeRequest": requests.EXTEND_VOLUME,
    "SetAppSecretRequest": requests.SET_APP_SECRET,
    "AppSecretsUpdateRequest": requests.APP_SECRETS_UPDATE,
    "main.getPlacementsRequest": requests.GET_PLACEMENTS,
}
PLAIN = {"string": STRING, "integer": INTEGER, "boolean": BOOLEAN, "number": NUMBER}


def documented(schema: dict[str, Any], schemas: dict[str, Any], *, removable: bool) -> Kind:
    """The document's schema in our notation."""
    schema = (schema.get("allOf") or [schema])[0]
    if "$ref" in schema:
        return documented(schemas[schema["$ref"].rpartition("/")[2]], schemas, removable=removable)
    if "enum" in schema:
        return OneOf(tuple(schema["enum"]))
    if schema["type"] == "array":
        return ListOf(documented(schema["items"], schemas, removable=removable))
    if schema["type"] != "object":
        return PLAIN[schema["type"]]
    if "properties" in schema:
        inner = {name: documented(value, schemas, removable=removable) for name, value in schema["properties"].items()}
        return Shape(inner, tuple(schema.get("required", ())))
    if "additionalProperties" in schema:
        return MapOf(documented(schema["additionalProperties"], schemas, removable=removable), removable)
    return OBJECT


@pytest.mark.parametrize("name", BODIES)
def test_a_body_may_hold_exactly_what_the_document_says(name: str) -> None:
    """No field is missing, none is made up, and each has its type: so both refuse the same bodies."""
    schemas = fly_document()["components"]["schemas"]
    # the document's prose lets null remove a key where its schema has none
    removable = name in ("updateMetadataRequest", "AppSecretsUpdateRequest")
    assert BODIES[name] == documented(schemas[name], schemas, removable=removable)


@pytest.fixture
async def contract(bare_fly: LocalFly) -> AsyncIterator[ContractCaller]:
    async with ContractCaller(bare_fly.url, fly_document()) as caller:
        yield caller


async def test_a_whole_life_is_spoken_as_documented(contract: ContractCaller) -> None:
    """An app, its volume and its Machine, from the first call to the last."""
    call = contract
    await call.app()
    await call("GET", "/apps", query={"org_slug": "personal"})
    await call("GET", "/apps/ada")
    await call("POST", "/apps/ada/ip_assignments", {"type": "private_v6"})
    _, addresses = await call("GET", "/apps/ada/ip_assignments")
    await call("DELETE", f"/apps/ada/ip_assignments/{addresses['ips'][0]['ip']}")
    await call("POST", "/apps/ada/secrets/KEY", {"value": "one"})
    await call("POST", "/apps/ada/secrets", {"values": {"OTHER": "two"}})
    await call("GET", "/apps/ada/secrets", query={"show_secrets": "true"})
    await call("GET", "/apps/ada/secrets/KEY")
    await call("DELETE", "/apps/ada/secrets/KEY")

    _, volume = await call("POST", "/apps/ada/volumes", {"name": "data", "size_gb": 1, "region": "iad"})
    one = f"/apps/ada/volumes/{volume['id']}"
    await call("GET", "/apps/ada/volumes", query={"summary": "true"})
    await call("PUT", one, {"snapshot_retention": 7})
    await call("PUT", one + "/extend", {"size_gb": 2})
    await call("POST", one + "/snapshots")
    await call("GET", one + "/snapshots")

    config: dict[str, Any] = {
        "image": "registry.fly.io/jarvis@sha256:" + "0" * 64,
        "env": {"USER_ID": "ada"},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
        "metadata": {"gateway_env": "test"},
        "mounts": [{"volume": volume["id"], "path": "/data"}],
        "restart": {"policy": "on-failure", "max_retries": 3},
        "stop_config": {"signal": "SIGTERM", "timeout": "10s"},
        "services": [{"protocol": "tcp", "internal_port": 8080, "autostart": False, "autostop": "off"}],
        "checks": {"alive": {"type": "tcp", "port": 8080, "interval": "15s", "timeout": "2s"}},
    }
    body = {"name": "jarvis-ada", "region": "iad", "config": config}
    machine = await call.machine(**body)
    one = f"/apps/ada/machines/{machine['id']}"
    await call("POST", "/apps/ada/machines", body)
    await call("GET", "/apps/ada/machines", query={"metadata.gateway_env": "test", "state": "started"})
    await call("GET", "/apps/ada/machines", query={"summary": "true", "include_deleted": "true"})
    await call("GET", one, query={"include_leases": "true"})
    await call("GET", "/orgs/personal/machines", query={"limit": "10"})
    await call("GET", "/orgs/personal/volumes")

    _, lease = await call("POST", one + "/lease", {"ttl": 13, "description": "deploy"})
    held = {"fly-machine-lease-nonce": lease["data"]["nonce"]}
    await call("POST", one + "/lease", {"ttl": 13})
    await call("POST", one + "/suspend")
    await call("GET", one + "/lease")
    await call("DELETE", one + "/lease", headers=held)
    await call("GET", one + "/lease")

    await call("GET", one + "/metadata")
    await call("POST", one + "/metadata/plan", {"value": "free"})
    await call("GET", one + "/metadata/plan")
    await call("GET", one + "/metadata/none")
    await call("PATCH", one + "/metadata", {"metadata": {"plan": "pro"}, "machine_version": machine["instance_id"]})
    await call("PUT", one + "/metadata", {"metadata": {"plan": "pro"}, "machine_version": "stale"})
    await call("DELETE", one + "/metadata/plan")

    await call.act(machine, "suspend", until="suspended")
    await call.act(machine, "start", until="started")
    await call("POST", one + "/cordon")
    await call("POST", one + "/uncordon")
    await call("POST", one + "/signal", {"signal": "SIGUSR1"})
    await call("POST", one + "/restart", query={"timeout": "1s", "signal": "SIGTERM"})
    await call.wait(machine, "settled")
    _, updated = await call("POST", one, {"config": config, "current_version": machine["instance_id"]})
    await call.wait(updated, "started")
    await call("GET", one + "/versions")
    await call("GET", one + "/ps")
    await call("POST", one + "/exec", {"command": ["true"]})
    await call("POST", one + "/stop", {"signal": "SIGTERM", "timeout": "1s"})
    await call.wait(updated, "stopped")
    await call("GET", one + "/events", query={"limit": "50"})
    await call("GET", one + "/wait", query={"state": "started", "timeout": "1"})
    await call("GET", one + "/wait", query={"state": "started", "timeout": "61"})
    await call("DELETE", one)
    await call.wait(updated, "destroyed")

    await call("DELETE", f"/apps/ada/volumes/{volume['id']}")
    await call("POST", "/platform/placements", {"org_slug": "personal"})
    await call("GET", "/platform/regions")
    await call("POST", "/apps", {"name": "ada", "org_slug": "personal"})
    await call("POST", "/apps", {"name": "Not A Name", "org_slug": "personal"})
    await call("DELETE", "/apps/ada")
    assert len(contract.checked) >= 50


MACHINE = {"config": {"image": "x"}}
REFUSED = [
    ("POST", "/apps", {"name": 7, "org_slug": "personal"}),
    ("POST", "/apps", {"name": "bob", "org_slug": None}),
    ("POST", "/apps", ["bob"]),
    ("POST", "/apps/ada/machines", {"config": {"image": 1}}),
    ("POST", "/apps/ada/machines", {"config": {"image": "x", "env": {"A": 1}}}),
    ("POST", "/apps/ada/machines", {"config": {"image": "x", "restart": {"policy": "sometimes"}}}),
    ("POST", "/apps/ada/machines", {"config": {"image": "x", "services": [{"autostart": "yes"}]}}),
    ("POST", "/apps/ada/machines", {"config": {"image": "x", "services": [{"autostop": "maybe"}]}}),
    ("POST", "/apps/ada/machines", {"config": {"image": "x", "statics": [{"guest_path": "/a"}]}}),
    ("POST", "/apps/ada/machines", {"config": {"image": "x", "stop_config": {"signal": "SIGSTOP"}}}),
    ("POST", "/apps/ada/machines", {"config": {"image": "x", "guest": {"memory_mb": "512"}}}),
    ("POST", "/apps/ada/machines", {"config": {"image": "x", "auto_destroy": 1}}),
    ("POST", "/apps/ada/machines", MACHINE | {"skip_launch": "true"}),
    ("POST", "/apps/ada/machines", MACHINE | {"lease_ttl": 1.5}),
    ("POST", "/apps/ada/volumes", {"name": "data", "size_gb": "1"}),
    ("POST", "/apps/ada/volumes", {"name": "data", "encrypted": "no"}),
    ("POST", "/apps/ada/ip_assignments", {"type": 6}),
    ("POST", "/platform/placements", {"count": 1}),
    ("GET", "/apps", None),
    ("GET", "/apps/ada/machines?summary=perhaps", None),
    ("POST", "/apps/ada/machines/{}/stop", {"signal": "SIGSTOP"}),
    ("POST", "/apps/ada/machines/{}/stop", {"timeout": 5}),
    ("POST", "/apps/ada/machines/{}/signal", {"signal": "TERM"}),
    ("POST", "/apps/ada/machines/{}/restart?signal=KILL", None),
    ("POST", "/apps/ada/machines/{}/lease", {"ttl": "13"}),
    ("PATCH", "/apps/ada/machines/{}/metadata", {"metadata": {"a": 1}}),
    ("POST", "/apps/ada/machines/{}/metadata/a", {"value": 1}),
    ("POST", "/apps/ada/machines/{}/exec", {"command": "ls"}),
    ("GET", "/apps/ada/machines/{}/wait?state=asleep", None),
    ("GET", "/apps/ada/machines/{}/wait?timeout=soon", None),
    ("GET", "/apps/ada/machines/{}/events?limit=all", None),
    ("DELETE", "/apps/ada/machines/{}?force=please", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REFUSED)
async def test_what_the_document_forbids_is_refused(bare_call: Any, method: str, path: str, body: object) -> None:
    """A client that sends nonsense learns it on the laptop and not in production."""
    await bare_call.app()
    machine = await bare_call.machine()
    status, answer = await bare_call(method, path.format(machine["id"]), body)
    assert status in (400, 422), answer
    assert answer["error"]


async def test_every_documented_call_is_answered_or_owned_up_to(bare_call: FlyCaller) -> None:
    """Nothing of the document is met with "no such path": it works, or it is 501."""
    missing = {}
    for template, operations in fly_document()["paths"].items():
        for method in operations:
            if method in ("get", "post", "put", "patch", "delete"):
                status, answer = await bare_call(method.upper(), template.replace("{", "").replace("}", ""))
                if status == 405 or (status == 404 and "path" in answer["error"]):
                    missing[method, template] = status
    assert not missing


async def test_what_is_not_built_says_so(bare_call: FlyCaller) -> None:
    await bare_call.app()
    assert (await bare_call("GET", "/tokens/current"))[0] == 501
    assert (await bare_call("GET", "/apps/ada/secretkeys"))[0] == 501
    assert (await bare_call("GET", "/apps/ada/unheard-of"))[0] == 404
    assert (await bare_call("DELETE", "/apps/ada/machines"))[0] == 405
