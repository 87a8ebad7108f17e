"""What no real Fly has: trouble to order, and a look behind the counter. No token: it is for whoever runs it."""

from dataclasses import asdict
from typing import Final

from aiohttp import web

from localcloud.fly import errors
from localcloud.fly.edge import Route, body_of
from localcloud.fly.faults import BadRule, Rule
from localcloud.fly.keys import CALLS, FAULTS, HOST, WORLD
from localcloud.fly.process import Running
from localcloud.fly.records import Json, Machine
from localcloud.fly.shapes import OBJECT, STRING, one_of, shape
from localcloud.fly.states import State

_HOST: Final = shape("status", status=one_of("ok", "unknown", "unreachable"))
_MIGRATION: Final = shape(swap_with=STRING)


async def add_fault(request: web.Request) -> web.Response:
    body = await body_of(request, OBJECT)
    try:
        rule = request.app[FAULTS].add(body)
    except BadRule as error:
        raise errors.invalid(str(error)) from None
    return web.json_response(_rule(rule), status=201)


async def list_faults(request: web.Request) -> web.Response:
    return web.json_response({"faults": [_rule(rule) for rule in request.app[FAULTS].rules]})


async def clear_faults(request: web.Request) -> web.Response:
    request.app[FAULTS].rules.clear()
    return web.Response(status=204)


async def remove_fault(request: web.Request) -> web.Response:
    faults = request.app[FAULTS]
    faults.rules = [rule for rule in faults.rules if str(rule.id) != request.match_info["id"]]
    return web.Response(status=204)


def _rule(rule: Rule) -> Json:
    match = {key: value for key in ("method", "path", "action") if (value := getattr(rule, key)) is not None}
    return {
        "id": rule.id,
        "match": match,
        "fault": rule.fault,
        "times": rule.times,
        "after": rule.after,
        "chance": rule.chance,
        "struck": rule.struck,
    }


async def get_latencies(request: web.Request) -> web.Response:
    return web.json_response(asdict(request.app[WORLD].latencies))


async def put_latencies(request: web.Request) -> web.Response:
    """Those that are named change, the others stay."""
    body = await body_of(request, OBJECT)
    try:
        request.app[WORLD].latencies.change(body)
    except BadRule as error:
        raise errors.invalid(str(error)) from None
    return await get_latencies(request)


async def list_calls(request: web.Request) -> web.Response:
    """Counts since the last reset, and the latest calls, oldest first: all, or of `?action=&app=&machine_id=`."""
    calls = request.app[CALLS]
    wanted = {key: request.query[key] for key in ("action", "app", "machine_id") if key in request.query}
    latest = [call for call in calls.latest if wanted.items() <= call.items()]
    return web.json_response({"counts": calls.counts, "answers": calls.answers, "requests": latest})


async def reset_calls(request: web.Request) -> web.Response:
    request.app[CALLS].reset()
    return web.Response(status=204)


async def list_local_machines(request: web.Request) -> web.Response:
    """Every Machine with what only the host knows: its process, its folder, its log."""
    world = request.app[WORLD]
    return web.json_response(
        {
            "machines": [
                {
                    "id": machine.id,
                    "app": machine.app,
                    "name": machine.name,
                    "state": str(machine.state),
                    "private_ip": machine.private_ip,
                    "pid": machine.process.pid if machine.process else None,
                    "volume": str(world.disk.volume(machine.volume_ids[0])) if machine.volume_ids else None,
                    "log": str(world.disk.log(machine.id)),
                }
                for machine in world.machines.values()
            ]
        }
    )


async def crash(request: web.Request) -> web.Response:
    """kill -9 for all its processes, answered when it is dead. Of a suspended Machine, this loses the snapshot."""
    process = _process(request)
    process.kill()
    await process.ended()
    return web.Response(status=204)


async def freeze(request: web.Request) -> web.Response:
    """All its processes stop, and the API does not know."""
    _process(request).freeze()
    return web.Response(status=204)


async def thaw(request: web.Request) -> web.Response:
    _process(request).thaw()
    return web.Response(status=204)


async def set_host(request: web.Request) -> web.Response:
    """Its host is out of reach: no call but a forced delete does anything, and the processes go on."""
    body = await body_of(request, _HOST)
    _machine(request).host_status = body["status"]
    return web.Response(status=204)


async def migrate(request: web.Request) -> web.Response:
    """To another host while it sleeps: another address, and the snapshot of a suspended one is lost.

    With `swap_with`, the id of another Machine that sleeps, the two get each other's: an old address is somebody's.
    """
    body = await body_of(request, _MIGRATION, optional=True)
    world, moved = request.app[WORLD], [_machine(request)]
    if "swap_with" in body:
        moved.append(_machine_called(request, body["swap_with"]))
    if any(machine.state not in (State.STOPPED, State.SUSPENDED) for machine in moved):
        raise errors.refusal(409, "only what is stopped or suspended moves to another host")
    addresses = [world.addresses.take()] if len(moved) == 1 else [machine.private_ip for machine in reversed(moved)]
    for machine, address in zip(moved, addresses, strict=True):
        if machine.process is not None:
            await request.app[HOST].kill(machine)
        machine.private_ip = address
    world.changed()
    return web.json_response({"addresses": addresses})


def _machine(request: web.Request) -> Machine:
    return _machine_called(request, request.match_info["machine"])


def _machine_called(request: web.Request, machine_id: str) -> Machine:
    machine = request.app[WORLD].machines.get(machine_id)
    if machine is None:
        raise errors.not_found("machine")
    return machine


def _process(request: web.Request) -> Running:
    process = _machine(request).process
    if process is None:
        raise errors.refusal(409, "this machine has no process now")
    return process


ROUTES: Final = (
    Route("POST", "/_local/faults", "", add_fault),
    Route("GET", "/_local/faults", "", list_faults),
    Route("DELETE", "/_local/faults", "", clear_faults),
    Route("DELETE", "/_local/faults/{id}", "", remove_fault),
    Route("GET", "/_local/latencies", "", get_latencies),
    Route("PUT", "/_local/latencies", "", put_latencies),
    Route("GET", "/_local/requests", "", list_calls),
    Route("DELETE", "/_local/requests", "", reset_calls),
    Route("GET", "/_local/machines", "", list_local_machines),
    Route("POST", "/_local/machines/{machine}/crash", "", crash),
    Route("POST", "/_local/machines/{machine}/freeze", "", freeze),
    Route("POST", "/_local/machines/{machine}/thaw", "", thaw),
    Route("POST", "/_local/machines/{machine}/migrate", "", migrate),
    Route("PUT", "/_local/machines/{machine}/host", "", set_host),
)
