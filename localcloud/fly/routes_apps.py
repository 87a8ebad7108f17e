"""Calls about apps: themselves, their addresses, their secrets."""

import hashlib
import re
import secrets
from typing import Final

from aiohttp import web

from localcloud.fly import errors, requests
from localcloud.fly.clock import rfc3339
from localcloud.fly.edge import Route, body_of, flag
from localcloud.fly.keys import FLYCAST, LIFE, VOLUMES, WORLD
from localcloud.fly.records import App, Json
from localcloud.fly.states import State
from localcloud.fly.views import app_view
from localcloud.fly.world import World

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,61}")
_NETWORK: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_ADDRESS_TYPES: Final = ("v4", "v6", "shared_v4", "private_v6", "egress_v4", "egress_v6", "egress_pair")


async def create_app(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    body = await body_of(request, requests.CREATE_APP)
    name = body.get("name") or body.get("app_name")  # Fly's guides and its document disagree; it takes both
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise errors.bad_app_name()
    if not body.get("org_slug"):
        raise errors.invalid("org_slug is required")
    if body.get("network") and not _NETWORK.fullmatch(body["network"]):
        raise errors.invalid("network must start with a letter and use letters, digits and dashes")
    if name in world.apps:
        raise errors.app_name_taken()
    now = world.clock.now()
    app = App(
        id=secrets.token_hex(8),
        name=name,
        number=next(world.numbers),
        organization=body["org_slug"],
        network=body.get("network") or "default",
        created_at=rfc3339(now),
    )
    world.apps[name] = app
    world.births[name] = world.clock.monotonic()
    world.changed()
    return web.json_response({"id": app.id, "created_at": int(now.timestamp() * 1000)}, status=201)


async def list_apps(request: web.Request) -> web.Response:
    if "org_slug" not in request.query:
        raise errors.invalid("org_slug is required")
    world = request.app[WORLD]
    views = [app_view(app, world) for app in world.apps.values() if app.organization == request.query["org_slug"]]
    return web.json_response({"total_apps": len(views), "apps": views})


async def get_app(request: web.Request) -> web.Response:
    return web.json_response(app_view(_app(request), request.app[WORLD]))


async def delete_app(request: web.Request) -> web.Response:
    """Answered at once; Machines, volumes and at last the name go later."""
    world, app = request.app[WORLD], _app(request)
    flag(request, "force")
    if app.status != "deleting":
        app.status = "deleting"
        world.errands.begin(_delete(request.app, app))
    return web.Response(status=202)


async def _delete(server: web.Application, app: App) -> None:
    world, life = server[WORLD], server[LIFE]
    errands = []
    for machine in world.machines_of(app.name):
        if machine.state not in (State.DESTROYED, State.DESTROYING):
            life.destroy_soon(machine)
        if machine.errand is not None:
            errands.append(machine.errand)
    for errand in errands:
        await errand
    await world.clock.sleep(world.latencies.delete_app)
    for machine in list(world.machines_of(app.name)):
        del world.machines[machine.id]
    for volume in list(world.volumes_of(app.name)):
        server[VOLUMES].erase(volume)
    for address in app.ips:
        server[FLYCAST].close(address["ip"])
    del world.apps[app.name]
    world.changed()


async def list_addresses(request: web.Request) -> web.Response:
    shown = [{name: value for name, value in ip.items() if name != "flycast"} for ip in _app(request).ips]
    return web.json_response({"ips": shown})


async def assign_address(request: web.Request) -> web.Response:
    world, app = request.app[WORLD], _app(request)
    body = await body_of(request, requests.ASSIGN_IP)
    kind = body.get("type")
    if kind not in _ADDRESS_TYPES:
        raise errors.invalid(f"type must be one of {', '.join(_ADDRESS_TYPES)}")
    number = next(world.numbers)
    flycast = kind == "private_v6"
    if flycast:
        ip = world.addresses.take()  # one of loopback's, as Machines have: it answers, which an fdaa: here would not
    else:
        ip = f"203.0.113.{number % 256}" if kind.endswith("v4") else f"2a09:8280:1::{number:x}"
    address: Json = {
        "ip": ip,
        "region": body.get("region", "global"),
        "service_name": body.get("service_name", ""),
        "shared": kind == "shared_v4",
        "created_at": rfc3339(world.clock.now()),
        "egress": kind.startswith("egress"),
    }
    kept = address | {"flycast": flycast}
    if kind in ("shared_v4", "private_v6") and any(
        (old["shared"], old.get("flycast")) == (kept["shared"], flycast) for old in app.ips
    ):
        raise errors.refusal(422, f"Validation failed: {kind} address has already been allocated")
    app.ips.append(kept)
    if flycast:
        await request.app[FLYCAST].open(app, ip)
    world.changed()
    return web.json_response(address)


async def release_address(request: web.Request) -> web.Response:
    app = _app(request)
    for address in app.ips:
        if address["ip"] == request.match_info["ip"]:
            app.ips.remove(address)
            request.app[FLYCAST].close(address["ip"])
            request.app[WORLD].changed()
            return web.Response(status=204)
    raise errors.not_found("ip")


async def list_secrets(request: web.Request) -> web.Response:
    app, show = _app(request), flag(request, "show_secrets")
    return web.json_response({"secrets": [_secret(app, name, show=show) for name in sorted(app.secrets)]})


async def update_secrets(request: web.Request) -> web.Response:
    app = _app(request)
    body = await body_of(request, requests.APP_SECRETS_UPDATE)
    for name, value in body.get("values", {}).items():
        if value is None:
            app.secrets.pop(name, None)
        else:
            _keep_secret(app, name, value, request.app[WORLD])
    app.secrets_version += 1
    request.app[WORLD].changed()
    views = [_secret(app, name, show=False) for name in sorted(app.secrets)]
    return web.json_response({"secrets": views, "version": app.secrets_version, "Version": app.secrets_version})


async def get_secret(request: web.Request) -> web.Response:
    app, name = _app(request), request.match_info["secret"]
    if name not in app.secrets:
        raise errors.not_found("secret")
    return web.json_response(_secret(app, name, show=flag(request, "show_secrets")))


async def set_secret(request: web.Request) -> web.Response:
    app, name = _app(request), request.match_info["secret"]
    body = await body_of(request, requests.SET_APP_SECRET)
    if "value" not in body:
        raise errors.invalid("value is required")
    _keep_secret(app, name, body["value"], request.app[WORLD])
    app.secrets_version += 1
    request.app[WORLD].changed()
    version = {"version": app.secrets_version, "Version": app.secrets_version}
    return web.json_response(_secret(app, name, show=False) | version, status=201)


async def delete_secret(request: web.Request) -> web.Response:
    app, name = _app(request), request.match_info["secret"]
    if app.secrets.pop(name, None) is None:
        raise errors.not_found("secret")
    app.secrets_version += 1
    request.app[WORLD].changed()
    return web.json_response({"version": app.secrets_version, "Version": app.secrets_version})


def _keep_secret(app: App, name: str, value: str, world: World) -> None:
    now = rfc3339(world.clock.now())
    created = app.secrets.get(name, {}).get("created_at", now)
    app.secrets[name] = {"value": value, "created_at": created, "updated_at": now}


def _secret(app: App, name: str, *, show: bool) -> Json:
    secret = app.secrets[name]
    view = {
        "name": name,
        "digest": hashlib.sha256(secret["value"].encode()).hexdigest()[:16],
        "created_at": secret["created_at"],
        "updated_at": secret["updated_at"],
    }
    return view | ({"value": secret["value"]} if show else {})


def _app(request: web.Request) -> App:
    return request.app[WORLD].app(request.match_info["app"])


ROUTES: Final = (
    Route("POST", "/v1/apps", "create_app", create_app),
    Route("GET", "/v1/apps", "list_apps", list_apps),
    Route("GET", "/v1/apps/{app}", "get_app", get_app),
    Route("DELETE", "/v1/apps/{app}", "delete_app", delete_app),
    Route("GET", "/v1/apps/{app}/ip_assignments", "list_addresses", list_addresses),
    Route("POST", "/v1/apps/{app}/ip_assignments", "assign_address", assign_address),
    Route("DELETE", "/v1/apps/{app}/ip_assignments/{ip}", "release_address", release_address),
    Route("GET", "/v1/apps/{app}/secrets", "list_secrets", list_secrets),
    Route("POST", "/v1/apps/{app}/secrets", "update_secrets", update_secrets),
    Route("GET", "/v1/apps/{app}/secrets/{secret}", "get_secret", get_secret),
    Route("POST", "/v1/apps/{app}/secrets/{secret}", "set_secret", set_secret),
    Route("DELETE", "/v1/apps/{app}/secrets/{secret}", "delete_secret", delete_secret),
)
