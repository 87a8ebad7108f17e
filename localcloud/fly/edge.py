"""Between HTTP and the verbs: who calls, how often, what trouble was ordered, and what a refusal looks like."""

import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final

from aiohttp import web

from localcloud.fly import errors
from localcloud.fly.calls import Calls
from localcloud.fly.clock import Clock
from localcloud.fly.errors import Refused
from localcloud.fly.faults import Faults
from localcloud.fly.limits import Limits, whole_seconds
from localcloud.fly.records import Json
from localcloud.fly.shapes import Kind, problems

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_FOR_EVER: Final = 3600.0
_TRUTHS: Final = {"true": True, "1": True, "": True, "false": False, "0": False}
_BEARER: Final = re.compile(r"(?:Bearer|FlyV1) +(.+)", re.IGNORECASE)
BOOT_FAILS: Final = web.RequestKey("boot_fails", bool)
CALL: Final = web.RequestKey("call", dict)


@dataclass(frozen=True, slots=True)
class Route:
    """A call of the API. `action` is its name in limits, faults and the record of calls."""

    method: str
    path: str
    action: str
    handler: Handler


async def body_of(request: web.Request, kind: Kind, *, optional: bool = False) -> Json:
    """The JSON body, of the shape that Fly's document gives it. Raises Refused(400)."""
    raw = await request.read()
    if not raw.strip() and optional:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise errors.invalid(f"body is not JSON: {error}") from None
    if wrong := list(problems(body, kind)):
        raise errors.invalid_request(wrong)
    whole: Json = body
    return whole


def flag(request: web.Request, *names: str) -> bool:
    """Whether the query says yes under one of these names. Raises Refused(400) for anything but a boolean."""
    said = [request.query[name] for name in names if name in request.query]
    for word in said:
        if word.lower() not in _TRUTHS:
            raise errors.invalid(f"{names[0]} must be a boolean")
    return any(_TRUTHS[word.lower()] for word in said)


def integer(request: web.Request, name: str, default: int) -> int:
    """A number from the query. Raises Refused(400)."""
    word = request.query.get(name, str(default))
    if not re.fullmatch(r"-?[0-9]{1,9}", word):
        raise errors.invalid(f"{name} must be an integer")
    return int(word)


def action_of(request: web.Request) -> str:
    route = request.match_info.route
    return route.name or "unknown"


class Edge:
    """The middlewares, in the order in which a call meets them."""

    def __init__(self, *, token: str, clock: Clock, limits: Limits, faults: Faults, calls: Calls) -> None:
        self._token, self._clock = token, clock
        self._limits, self._faults, self._calls = limits, faults, calls
        self.close_listener: Callable[[float], None] = lambda seconds: None

    @web.middleware
    async def answer_refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refusals become answers; a path or method that is not built says so."""
        try:
            return await handler(request)
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status, headers=refused.headers)
        except web.HTTPNotFound:
            return _plain(errors.not_found("path"))
        except web.HTTPMethodNotAllowed:
            return _plain(errors.refusal(405, "method not allowed"))

    @web.middleware
    async def record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every call of the API itself is written down, with what became of it."""
        if not request.path.startswith("/v1/"):
            return await handler(request)
        call = self._calls.begin(
            action_of(request),
            at=self._clock.now().isoformat(),
            method=request.method,
            path=request.path,
            query=request.query_string,
            app=request.match_info.get("app"),
            machine_id=request.match_info.get("machine"),
        )
        request[CALL] = call
        try:
            response = await handler(request)
        except Refused as refused:
            self._calls.end(call, refused.status)
            raise
        self._calls.end(call, response.status if request.transport and not request.transport.is_closing() else None)
        return response

    @web.middleware
    async def authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/v1/"):
            match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
            if match is None or not compare_digest(match[1].encode(), self._token.encode()):
                raise errors.unauthenticated()
        return await handler(request)

    @web.middleware
    async def strike(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The first scripted fault that fits this call."""
        if not request.path.startswith("/v1/"):
            return await handler(request)
        fault = self._faults.strike(request.method, request.path, action_of(request), self._clock.jitter())
        if fault is None:
            return await handler(request)
        request[CALL]["fault"] = fault["kind"]
        return await self._suffer(fault, request, handler)

    async def _suffer(self, fault: dict[str, Any], request: web.Request, handler: Handler) -> web.StreamResponse:
        match fault["kind"]:
            case "status":
                # as scripted: also bodies that no client expects, like HTML from a proxy in between
                body = fault.get("body", {"error": "scripted"})
                headers = {str(name): str(value) for name, value in fault.get("headers", {}).items()}
                if isinstance(body, str):
                    return web.Response(status=fault["status"], text=body, headers=headers)
                return web.json_response(body, status=fault["status"], headers=headers)
            case "delay":
                await self._clock.sleep(fault["seconds"])
                return await handler(request)
            case "hang":
                await self._clock.sleep(fault.get("seconds", _FOR_EVER))
                return _hung_up(request)
            case "lost_answer":
                await handler(request)
                return _hung_up(request)
            case "refuse_connection":
                self.close_listener(fault.get("seconds", 0.0))
                return _hung_up(request, reset=True)
            case "reset":
                return _hung_up(request, reset=True)
            case "capacity":
                raise errors.no_capacity(fault["scope"], for_volume="/volumes" in request.path)
            case "rate_limit":
                raise errors.too_many_requests(fault.get("retry_after"))
            case _:
                request[BOOT_FAILS] = True
                return await handler(request)

    @web.middleware
    async def limit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """One budget for each action on each Machine, or on each app where there is no Machine."""
        if request.path.startswith("/v1/"):
            info, action = request.match_info, action_of(request)
            # App deletions have one budget for everybody. A create counts against the app that it makes.
            thing = "" if action == "delete_app" else info.get("machine") or info.get("app") or await _new_app(request)
            wait = self._limits.refused(action, thing, self._clock.monotonic())
            if wait is not None:
                raise errors.too_many_requests(whole_seconds(wait) if self._limits.retry_after else None)
        return await handler(request)


async def _new_app(request: web.Request) -> str:
    """The name of the app that a body asks for, "" where it asks for none."""
    if action_of(request) != "create_app":
        return ""
    with suppress(ValueError):
        body = json.loads(await request.text())
        if isinstance(body, dict):
            return str(body.get("name") or body.get("app_name") or "")
    return ""


def _plain(refused: Refused) -> web.Response:
    return web.json_response(refused.body, status=refused.status)


def _hung_up(request: web.Request, *, reset: bool = False) -> web.Response:
    """Close the connection without an answer; with `reset`, by a TCP reset. The response is never sent."""
    transport = request.transport
    if transport is not None:
        if reset:
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)
