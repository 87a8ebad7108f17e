"""Calls about volumes and their snapshots."""

from typing import Final

from aiohttp import web

from localcloud.fly import requests
from localcloud.fly.edge import Route, body_of, flag
from localcloud.fly.keys import VOLUMES, WORLD
from localcloud.fly.records import Volume
from localcloud.fly.views import volume_view


def _volume(request: web.Request) -> Volume:
    return request.app[WORLD].volume(request.match_info["app"], request.match_info["volume"])


async def create_volume(request: web.Request) -> web.Response:
    body = await body_of(request, requests.CREATE_VOLUME)
    app = request.app[WORLD].app(request.match_info["app"])
    return web.json_response(volume_view(request.app[VOLUMES].create(app, body)))


async def list_volumes(request: web.Request) -> web.Response:
    flag(request, "summary")
    app = request.app[WORLD].app(request.match_info["app"])
    return web.json_response([volume_view(volume) for volume in request.app[WORLD].volumes_of(app.name)])


async def get_volume(request: web.Request) -> web.Response:
    return web.json_response(volume_view(_volume(request)))


async def update_volume(request: web.Request) -> web.Response:
    body = await body_of(request, requests.UPDATE_VOLUME)
    volume = _volume(request)
    request.app[VOLUMES].update(volume, body)
    return web.json_response(volume_view(volume))


async def delete_volume(request: web.Request) -> web.Response:
    volume = _volume(request)
    request.app[VOLUMES].delete(volume)
    return web.json_response(volume_view(volume))


async def extend_volume(request: web.Request) -> web.Response:
    body = await body_of(request, requests.EXTEND_VOLUME)
    volume = _volume(request)
    needs_restart = request.app[VOLUMES].extend(volume, body)
    return web.json_response({"volume": volume_view(volume), "needs_restart": needs_restart})


async def list_snapshots(request: web.Request) -> web.Response:
    return web.json_response(_volume(request).snapshots)


async def create_snapshot(request: web.Request) -> web.Response:
    return web.json_response(request.app[VOLUMES].snapshot(_volume(request)))


_APP: Final = "/v1/apps/{app}/volumes"
_ONE: Final = _APP + "/{volume}"

ROUTES: Final = (
    Route("POST", _APP, "create_volume", create_volume),
    Route("GET", _APP, "list_volumes", list_volumes),
    Route("GET", _ONE, "get_volume", get_volume),
    Route("PUT", _ONE, "update_volume", update_volume),
    Route("DELETE", _ONE, "delete_volume", delete_volume),
    Route("PUT", _ONE + "/extend", "extend_volume", extend_volume),
    Route("GET", _ONE + "/snapshots", "list_snapshots", list_snapshots),
    Route("POST", _ONE + "/snapshots", "create_snapshot", create_snapshot),
)
