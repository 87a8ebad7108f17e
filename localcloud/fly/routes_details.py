"""Calls about what hangs on a Machine: lease, metadata, events, versions, commands inside."""

import shlex
from typing import Final

from aiohttp import web

from localcloud.fly import errors, requests
from localcloud.fly.edge import Route, body_of, integer
from localcloud.fly.keys import LEASES, VERBS, WORLD
from localcloud.fly.routes_machines import check_host, machine_of, machine_to_change
from localcloud.fly.views import lease_view

_NONCE: Final = "fly-machine-lease-nonce"
_OK: Final = {"ok": True}
_EXEC_TIMEOUT: Final = 60  # seconds


async def cordon(request: web.Request) -> web.Response:
    return _cordon(request, cordoned=True)


async def uncordon(request: web.Request) -> web.Response:
    return _cordon(request, cordoned=False)


def _cordon(request: web.Request, *, cordoned: bool) -> web.Response:
    machine_to_change(request).cordoned = cordoned
    request.app[WORLD].changed()
    return web.json_response(_OK)


async def list_events(request: web.Request) -> web.Response:
    limit = integer(request, "limit", 20)
    if not 1 <= limit <= 50:
        raise errors.invalid("limit must be between 1 and 50")
    return web.json_response(machine_of(request).events[: -limit - 1 : -1])


async def list_versions(request: web.Request) -> web.Response:
    return web.json_response(list(reversed(machine_of(request).versions)))


async def list_processes(request: web.Request) -> web.Response:
    process = machine_of(request).process
    pids = process.members() if process else []
    return web.json_response([{"pid": pid, "command": "", "directory": "", "listen_sockets": []} for pid in pids])


async def execute(request: web.Request) -> web.Response:
    body = await body_of(request, requests.MACHINE_EXEC)
    command = body.get("command") or shlex.split(body.get("cmd", ""))
    if not command:
        raise errors.invalid("command is required")
    timeout = body.get("timeout") or _EXEC_TIMEOUT
    outcome = await request.app[VERBS].execute(
        machine_of(request), command, stdin=body.get("stdin", ""), timeout=timeout
    )
    return web.json_response(outcome)


async def take_lease(request: web.Request) -> web.Response:
    body = await body_of(request, requests.CREATE_LEASE, optional=True)
    machine = machine_of(request)
    check_host(machine)
    ttl = body.get("ttl")
    if ttl is None and "ttl" in request.query:
        ttl = integer(request, "ttl", 0)  # Fly's own client sends it here
    request.app[LEASES].take(machine, request.headers.get(_NONCE), ttl, body.get("description", ""))
    return web.json_response(lease_view(machine, nonce=True), status=201)


async def get_lease(request: web.Request) -> web.Response:
    machine = machine_of(request)
    if request.app[LEASES].held(machine) is None:
        raise errors.not_found("lease")
    return web.json_response(lease_view(machine, nonce=False))


async def release_lease(request: web.Request) -> web.Response:
    request.app[LEASES].release(machine_of(request), request.headers.get(_NONCE))
    return web.json_response({"status": "success", "data": _OK})


async def get_metadata(request: web.Request) -> web.Response:
    return web.json_response(machine_of(request).metadata)


async def put_metadata(request: web.Request) -> web.Response:
    """All of it is replaced."""
    return await _write_metadata(request, keep=False)


async def patch_metadata(request: web.Request) -> web.Response:
    """Only the keys that are named change."""
    return await _write_metadata(request, keep=True)


async def _write_metadata(request: web.Request, *, keep: bool) -> web.Response:
    body = await body_of(request, requests.UPDATE_METADATA)
    machine = machine_of(request)
    if body.get("machine_version") not in (None, "", machine.version):
        raise errors.metadata_version(machine.version)
    changed = (machine.metadata if keep else {}) | body.get("metadata", {})
    # null and the empty string take a key away
    machine.config["metadata"] = {key: value for key, value in changed.items() if value}
    request.app[WORLD].changed()
    return web.Response(status=204)


async def get_metadata_key(request: web.Request) -> web.Response:
    value = machine_of(request).metadata.get(request.match_info["key"])
    if value is None:
        raise errors.not_found("metadata key")
    return web.json_response({"value": value})


async def set_metadata_key(request: web.Request) -> web.Response:
    body = await body_of(request, requests.UPSERT_METADATA_KEY)
    if "value" not in body:
        raise errors.invalid("value is required")
    machine_of(request).metadata[request.match_info["key"]] = body["value"]
    request.app[WORLD].changed()
    return web.Response(status=204)


async def delete_metadata_key(request: web.Request) -> web.Response:
    machine_of(request).metadata.pop(request.match_info["key"], None)
    request.app[WORLD].changed()
    return web.Response(status=204)


_ONE: Final = "/v1/apps/{app}/machines/{machine}"

ROUTES: Final = (
    Route("POST", _ONE + "/cordon", "cordon_machine", cordon),
    Route("POST", _ONE + "/uncordon", "uncordon_machine", uncordon),
    Route("GET", _ONE + "/events", "list_events", list_events),
    Route("GET", _ONE + "/versions", "list_versions", list_versions),
    Route("GET", _ONE + "/ps", "list_processes", list_processes),
    Route("POST", _ONE + "/exec", "exec_machine", execute),
    Route("POST", _ONE + "/lease", "take_lease", take_lease),
    Route("GET", _ONE + "/lease", "get_lease", get_lease),
    Route("DELETE", _ONE + "/lease", "release_lease", release_lease),
    Route("GET", _ONE + "/metadata", "get_metadata", get_metadata),
    Route("PUT", _ONE + "/metadata", "put_metadata", put_metadata),
    Route("PATCH", _ONE + "/metadata", "patch_metadata", patch_metadata),
    Route("GET", _ONE + "/metadata/{key}", "get_metadata_key", get_metadata_key),
    Route("POST", _ONE + "/metadata/{key}", "set_metadata_key", set_metadata_key),
    Route("DELETE", _ONE + "/metadata/{key}", "delete_metadata_key", delete_metadata_key),
)
