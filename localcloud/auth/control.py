"""/_local/*: the strings by which tests and `my-jarvis dev` pull. The real service has nothing here."""

from collections import Counter
from dataclasses import asdict, fields
from typing import Any, Final, get_type_hints

from aiohttp import web
from aiohttp.typedefs import Handler

from localcloud.auth.errors import validation
from localcloud.auth.faults import FAULTS, BadFault, read_fault
from localcloud.auth.google import Account
from localcloud.auth.keys import IllegalKeyStep, UnknownKey
from localcloud.auth.project import Project
from localcloud.auth.service import SERVICE, read_object, text
from localcloud.auth.tokens import timestamp

REQUESTS: Final = web.AppKey("requests", Counter[tuple[str, int]])
TYPES: Final = get_type_hints(Project)
FIXED: Final = frozenset({"publishable_key", "secret_key", "signing", "allow"})
CHANGEABLE: Final = [f.name for f in fields(Project) if f.name not in FIXED]


@web.middleware
async def count_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """By endpoint and status; 499 is an answer that never arrived."""
    if request.path.startswith("/_local/"):
        return await handler(request)
    resource = request.match_info.route.resource
    name = f"{request.method} {resource.canonical if resource else request.path}"
    if grant := request.query.get("grant_type"):
        name += f"?grant_type={grant}"
    status = 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        request.app[REQUESTS][name, status] += 1


async def requests(request: web.Request) -> web.Response:
    """`{"POST /auth/v1/token?grant_type=pkce": {"count": 3, "statuses": {"200": 2, "400": 1}}, …}`"""
    counted: dict[str, dict[str, Any]] = {}
    for (name, status), number in sorted(request.app[REQUESTS].items()):
        entry = counted.setdefault(name, {"count": 0, "statuses": {}})
        entry["count"] += number
        entry["statuses"][str(status)] = number
    return web.json_response(counted)


async def forget_requests(request: web.Request) -> web.Response:
    """Count from nothing again; the rate buckets are full again too."""
    request.app[REQUESTS].clear()
    request.app[SERVICE].buckets.refill()
    return web.Response(status=204)


async def get_project(request: web.Request) -> web.Response:
    settings = asdict(request.app[SERVICE].project)
    return web.json_response({name: settings[name] for name in CHANGEABLE})


async def patch_project(request: web.Request) -> web.Response:
    """Change switches of the dashboard, such as `{"token_lifetime_s": 5, "disable_signup": true}`."""
    project = request.app[SERVICE].project
    body = await read_object(request)
    for name, value in body.items():
        # Exactly the type: `true` is an int to isinstance.
        if name not in CHANGEABLE or type(value) is not type(getattr(project, name)):
            raise validation(f"{name}: unknown, or not a {TYPES.get(name)}")
    for name, value in body.items():
        setattr(project, name, value)
    return await get_project(request)


async def list_faults(request: web.Request) -> web.Response:
    return web.json_response(request.app[FAULTS].describe())


async def add_fault(request: web.Request) -> web.Response:
    """`{"path": "/auth/v1/token*", "kind": "status", "status": 503, "times": 2}`; kinds as in `Fault`."""
    try:
        request.app[FAULTS].add(read_fault(await read_object(request)))
    except BadFault as error:
        raise validation(str(error)) from error
    return web.json_response(request.app[FAULTS].describe(), status=201)


async def clear_faults(request: web.Request) -> web.Response:
    request.app[FAULTS].clear()
    return web.Response(status=204)


async def list_keys(request: web.Request) -> web.Response:
    """Public facts of every key, in whatever state."""
    keys = request.app[SERVICE].keys.all()
    return web.json_response(
        [{"kid": k.id, "algorithm": k.algorithm, "state": k.state, "created_at": timestamp(k.created_at)} for k in keys]
    )


async def move_key(request: web.Request) -> web.Response:
    """`POST /_local/keys/standby` and `/rotate` (body `{"algorithm": …}`), `/{kid}/revoke`, `/{kid}/restore`."""
    keys = request.app[SERVICE].keys
    step, key_id = request.match_info["step"], request.match_info.get("kid", "")
    algorithm = text(await read_object(request), "algorithm") or "ES256"
    if algorithm not in {"ES256", "RS256", "HS256"}:
        raise validation(f"{algorithm}: not a signing algorithm here")
    try:
        match step:
            case "standby":
                keys.create_standby(algorithm)  # type: ignore[arg-type]
            case "rotate":
                keys.rotate(algorithm)  # type: ignore[arg-type]
            case "revoke":
                keys.revoke(key_id)
            case "restore":
                keys.restore(key_id)
    except UnknownKey as error:
        raise validation(f"no key {key_id}", status=404) from error
    except IllegalKeyStep as error:
        raise validation(str(error), status=409) from error
    return await list_keys(request)


async def script_account(request: web.Request) -> web.Response:
    """What Google shall say of an address: `{"email": …, "email_verified": false, "name": …, "hosted_domain": …}`."""
    google = request.app[SERVICE].google
    body = await read_object(request)
    known = asdict(google.account(text(body, "email")))
    try:
        google.script(Account(**{**known, **body}))
    except TypeError as error:
        raise validation(str(error)) from error
    return web.json_response({**known, **body})


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/_local/requests", requests)
    router.add_delete("/_local/requests", forget_requests)
    router.add_get("/_local/project", get_project)
    router.add_patch("/_local/project", patch_project)
    router.add_get("/_local/faults", list_faults)
    router.add_post("/_local/faults", add_fault)
    router.add_delete("/_local/faults", clear_faults)
    router.add_get("/_local/keys", list_keys)
    router.add_post("/_local/keys/{step:standby|rotate}", move_key)
    router.add_post("/_local/keys/{kid}/{step:revoke|restore}", move_key)
    router.add_put("/_local/google/accounts", script_account)
