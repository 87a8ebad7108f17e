"""Calls about the whole organization and the platform; and all that Fly has but this room does not."""

from typing import Final

from aiohttp import web

from localcloud.fly import errors, requests
from localcloud.fly.edge import Route, body_of, flag, integer
from localcloud.fly.keys import WORLD
from localcloud.fly.records import Json
from localcloud.fly.regions import REGIONS, concrete
from localcloud.fly.states import State
from localcloud.fly.views import org_machine_view, volume_view

_MOST: Final = 1000


async def list_org_machines(request: web.Request) -> web.Response:
    """Pages in order of id; `next_cursor` is absent on the last."""
    world, query = request.app[WORLD], request.query
    include_deleted, summary = flag(request, "include_deleted"), flag(request, "summary")
    found = sorted(
        (
            machine
            for app in world.apps.values()
            if app.organization == request.match_info["org"]
            for machine in world.machines_of(app.name)
            if (include_deleted or machine.state is not State.DESTROYED)
            and query.get("region", machine.region) == machine.region
            and ("state" not in query or machine.state in query["state"].split(","))
            and machine.updated_at > query.get("updated_after", "")
        ),
        key=lambda machine: machine.id,
    )
    page, more = _page(request, [machine.id for machine in found])
    machines = [machine for machine in found if machine.id in page]
    answer: Json = {
        "machines": [org_machine_view(machine, summary=summary) for machine in machines],
        "error_regions": [],
    }
    if machines:
        answer["last_machine_id"] = machines[-1].id
        answer["last_updated_at"] = max(machine.updated_at for machine in machines)
    return web.json_response(answer | more)


async def list_org_volumes(request: web.Request) -> web.Response:
    world, query = request.app[WORLD], request.query
    flag(request, "include_deleted"), flag(request, "summary")
    found = {
        volume.id: volume
        for app in world.apps.values()
        if app.organization == request.match_info["org"]
        for volume in world.volumes_of(app.name)
        if query.get("region", volume.region) == volume.region
        and ("state" not in query or volume.state in query["state"].split(","))
    }
    page, more = _page(request, sorted(found))
    views = [volume_view(found[key]) | {"app_name": found[key].app} for key in sorted(page)]
    return web.json_response({"volumes": views} | ({"last_volume_id": views[-1]["id"]} if views else {}) | more)


def _page(request: web.Request, ids: list[str]) -> tuple[set[str], Json]:
    limit = integer(request, "limit", _MOST)
    if not 1 <= limit <= _MOST:
        raise errors.invalid(f"limit must be between 1 and {_MOST}")
    rest = [key for key in ids if key > request.query.get("cursor", "")]
    page = rest[:limit]
    return set(page), {"next_cursor": page[-1]} if len(rest) > limit else {}


async def list_regions(request: web.Request) -> web.Response:
    """The keys are capitalised, as they are on the wire and not in the document."""
    rows = [
        {
            "code": code,
            "name": name,
            "latitude": latitude,
            "longitude": longitude,
            "geo_region": part,
            "gateway_available": True,
            "requires_paid_plan": False,
            "deprecated": False,
            "capacity": 1000,
        }
        for code, (name, latitude, longitude, part) in REGIONS.items()
    ]
    return web.json_response({"Regions": rows, "Nearest": request.app[WORLD].default_region})


async def place(request: web.Request) -> web.Response:
    """A dry run: this host has room for anything."""
    body = await body_of(request, requests.GET_PLACEMENTS)
    region = body.get("region") or request.app[WORLD].default_region
    codes = list(REGIONS) if region == "any" else [concrete(code) for code in region.split(",")]
    count = body.get("count", 1)
    return web.json_response({"regions": [{"region": code, "count": count, "concurrency": 0} for code in codes]})


async def not_built(request: web.Request) -> web.Response:
    raise errors.not_built(request.method, request.path)


_MISSING: Final = (
    "/v1/apps/{app}/certificates{rest:.*}",
    "/v1/apps/{app}/deploy_token",
    "/v1/apps/{app}/secretkeys{rest:.*}",
    "/v1/apps/{app}/network_policies{rest:.*}",
    "/v1/apps/{app}/machines/{machine}/memory{rest:.*}",
    "/v1/tokens/{rest:.*}",
)

ROUTES: Final = (
    Route("GET", "/v1/orgs/{org}/machines", "list_org_machines", list_org_machines),
    Route("GET", "/v1/orgs/{org}/volumes", "list_org_volumes", list_org_volumes),
    Route("GET", "/v1/platform/regions", "list_regions", list_regions),
    Route("POST", "/v1/platform/placements", "place", place),
    *(Route("*", path, "", not_built) for path in _MISSING),
)
