"""Calls that make, show, change and end Machines."""

from typing import Final

from aiohttp import web

from localcloud.fly import errors, requests
from localcloud.fly.edge import BOOT_FAILS, Route, body_of, flag, integer
from localcloud.fly.keys import LEASES, VERBS, WORLD
from localcloud.fly.records import Json, Machine
from localcloud.fly.shapes import problems
from localcloud.fly.states import State
from localcloud.fly.views import machine_view

_NONCE: Final = "fly-machine-lease-nonce"
_WAITABLE: Final = ("started", "stopped", "suspended", "destroyed", "failed", "settled")
_OK: Final = {"ok": True}


def machine_of(request: web.Request) -> Machine:
    """The Machine that the path names. Raises Refused(404)."""
    return request.app[WORLD].machine(request.match_info["app"], request.match_info["machine"])


def machine_to_change(request: web.Request) -> Machine:
    """The same, if nobody else holds a lease on it. Raises Refused(409)."""
    machine = machine_of(request)
    check_host(machine)
    request.app[LEASES].check(machine, request.headers.get(_NONCE))
    return machine


def check_host(machine: Machine) -> None:
    """Raises Refused(503) if nothing can be asked of the Machine's host."""
    if machine.host_status == "unreachable":
        raise errors.host_unreachable()


async def create_machine(request: web.Request) -> web.Response:
    body = await body_of(request, requests.CREATE_MACHINE)
    app = request.app[WORLD].app(request.match_info["app"])
    machine = request.app[VERBS].create(app, body, boot_fails=request.get(BOOT_FAILS, False))
    return web.json_response(_with_lease(request, machine, body))


def _with_lease(request: web.Request, machine: Machine, body: Json) -> Json:
    """The Machine, and the nonce of the lease if the body asked for one."""
    view = machine_view(machine)
    if body.get("lease_ttl"):
        nonce = request.headers.get(_NONCE)
        view["nonce"] = request.app[LEASES].take(machine, nonce, body["lease_ttl"], "").nonce
    return view


async def list_machines(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    app = world.app(request.match_info["app"])
    include_deleted, summary = flag(request, "include_deleted"), flag(request, "summary")
    leases = flag(request, "include_leases")
    states = [word for value in request.query.getall("state", []) for word in value.split(",") if word]
    wanted = {key.removeprefix("metadata."): value for key, value in request.query.items() if _is_metadata(key)}
    views = [
        machine_view(machine, summary=summary, leases=leases)
        for machine in world.machines_of(app.name)
        if (include_deleted or machine.state is not State.DESTROYED)
        and (not states or machine.state in states)
        and request.query.get("region", machine.region) in ("", machine.region)
        and all(machine.metadata.get(key) == value for key, value in wanted.items())
    ]
    return web.json_response(views)


def _is_metadata(key: str) -> bool:
    return key.startswith("metadata.")


async def get_machine(request: web.Request) -> web.Response:
    return web.json_response(machine_view(machine_of(request), leases=flag(request, "include_leases")))


async def update_machine(request: web.Request) -> web.Response:
    body = await body_of(request, requests.UPDATE_MACHINE)
    machine = machine_to_change(request)
    request.app[VERBS].update(request.app[WORLD].app(machine.app), machine, body)
    return web.json_response(_with_lease(request, machine, body))


async def delete_machine(request: web.Request) -> web.Response:
    force = flag(request, "force", "kill")  # Fly's own client says kill
    machine = machine_of(request)
    if not force:  # which also works when the host does not
        check_host(machine)
    request.app[LEASES].check(machine, request.headers.get(_NONCE))
    request.app[VERBS].destroy(machine, force=force)
    return web.json_response(_OK)


async def start_machine(request: web.Request) -> web.Response:
    machine = machine_to_change(request)
    before = request.app[VERBS].start(machine, boot_fails=request.get(BOOT_FAILS, False))
    return web.json_response({"previous_state": str(before), "migrated": False, "new_host": ""})


async def stop_machine(request: web.Request) -> web.Response:
    body = await body_of(request, requests.STOP, optional=True)
    request.app[VERBS].stop(machine_to_change(request), body)
    return web.json_response(_OK)


async def suspend_machine(request: web.Request) -> web.Response:
    request.app[VERBS].suspend(machine_to_change(request))
    return web.json_response(_OK)


async def restart_machine(request: web.Request) -> web.Response:
    terms = {key: request.query[key] for key in ("signal", "timeout") if key in request.query}
    if wrong := list(problems(terms, requests.STOP, "query")):
        raise errors.invalid_request(wrong)
    force = flag(request, "force_stop")
    request.app[VERBS].restart(machine_to_change(request), terms, force=force)
    return web.json_response(_OK)


async def signal_machine(request: web.Request) -> web.Response:
    body = await body_of(request, requests.SIGNAL)
    if "signal" not in body:
        raise errors.invalid("signal is required")
    request.app[VERBS].signal(machine_of(request), body["signal"])
    return web.json_response(_OK)


async def wait_machine(request: web.Request) -> web.Response:
    timeout = integer(request, "timeout", 60)
    if not 1 <= timeout <= 60:
        raise errors.wait_out_of_range(timeout)
    states = [word for value in request.query.getall("state", ["started"]) for word in value.split(",") if word]
    for word in states:
        if word not in _WAITABLE:
            raise errors.invalid(f"state must be one of {', '.join(_WAITABLE)}")
    version = request.query.get("version") or request.query.get("instance_id")
    if "stopped" in states and not version:
        raise errors.invalid("instance_id or version is required to wait for the stopped state")
    reached = await request.app[VERBS].wait(
        machine_of(request),
        states or ["started"],
        version=version,
        from_event=request.query.get("from_event_id"),
        timeout=timeout,
    )
    return web.json_response(reached)


_APP: Final = "/v1/apps/{app}/machines"
_ONE: Final = _APP + "/{machine}"

ROUTES: Final = (
    Route("POST", _APP, "create_machine", create_machine),
    Route("GET", _APP, "list_machines", list_machines),
    Route("GET", _ONE, "get_machine", get_machine),
    Route("POST", _ONE, "update_machine", update_machine),
    Route("DELETE", _ONE, "delete_machine", delete_machine),
    Route("POST", _ONE + "/start", "start_machine", start_machine),
    Route("POST", _ONE + "/stop", "stop_machine", stop_machine),
    Route("POST", _ONE + "/suspend", "suspend_machine", suspend_machine),
    Route("POST", _ONE + "/restart", "restart_machine", restart_machine),
    Route("POST", _ONE + "/signal", "signal_machine", signal_machine),
    Route("GET", _ONE + "/wait", "wait_machine", wait_machine),
)
