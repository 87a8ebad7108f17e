"""The admin API: list, show, start, suspend, stop, restart, destroy; and `/metrics`.

Actions answer when the state is reached, not when it was asked for. Who may do what is in `gateway.admin.rules`.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.admin.ask import PAGE_MOST, Refused, query
from gateway.admin.guard import CALLER, Doorkeeper
from gateway.admin.people import People
from gateway.admin.signups import SignupDesk, Signups
from gateway.admin.views import instance_json
from gateway.errors import Answer, answer_for, problem
from gateway.observe import Metrics
from provisioner.audit import Trail
from provisioner.clock import Clock
from provisioner.errors import CloudError, Moved, ProvisionerError
from provisioner.instance import Instance, State, UserId
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.operators import Operators
from provisioner.ports import Store

log = structlog.get_logger(__name__)

START_WITHIN_S: Final = 120.0
BAD_ID: Final = Answer(400, "Not a user id", "The user id in the path has to be a UUID.")
NO_INSTANCE: Final = Answer(404, "No such Instance", "This user has no Instance.")

Action = Callable[[Instance, str], Awaitable[Instance]]


class AdminApi:
    """Handlers over the use cases. Every action leaves its audit row where it changes the state."""

    def __init__(
        self,
        *,
        store: Store,
        lifecycle: Lifecycle,
        clock: Clock,
        metrics: Metrics,
        operators: Operators,
        trail: Trail,
        token: str,
        open_metrics: bool,
        signups: Signups,
    ) -> None:
        """`token` and `open_metrics`: see Doorkeeper."""
        self._store = store
        self._lifecycle = lifecycle
        self._clock = clock
        self._metrics = metrics
        self._people = People(operators, trail)
        self._signups = SignupDesk(signups)
        self._door = Doorkeeper(token=token, operators=operators, trail=trail, clock=clock, open_metrics=open_metrics)

    def application(self) -> web.Application:
        """The admin listener's application."""
        app = web.Application(middlewares=[failures, self._door.middleware()])
        app.add_routes(
            [
                web.get("/healthz", self.healthz),
                web.get("/metrics", self.metrics),
                web.get("/v1/instances", self.page),
                web.get("/v1/instances/{user_id}", self.show),
                web.post("/v1/instances/{user_id}/{action:start|suspend|stop|restart}", self.act),
                web.delete("/v1/instances/{user_id}", self.destroy),
                web.get("/v1/audit", self._people.audit),
                web.get("/v1/signups", self._signups.page),
                web.post("/v1/signups/{user_id}/{verdict:admit|refuse|suspend}", self._signups.decide),
                web.get("/v1/operators", self._people.operators),
                web.post("/v1/operators", self._people.enlist),
                web.delete("/v1/operators/{name}", self._people.revoke),
            ]
        )
        return app

    async def healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def page(self, request: web.Request) -> web.Response:
        """`?state=&after=<user id>&limit=`; `next` is the `after` of the following page, null at the end."""
        state = query(request, "state", State, None)
        after = query(request, "after", lambda text: UserId(UUID(text)), None)
        limit = query(request, "limit", int, 100)
        if not 1 <= limit <= PAGE_MOST:
            raise Refused(Answer(400, "Bad limit", f"`limit` has to be between 1 and {PAGE_MOST}."))
        instances = await self._store.page(state=state, after=after, limit=limit)
        more = str(instances[-1].user_id) if len(instances) == limit else None
        return web.json_response({"instances": [instance_json(i) for i in instances], "next": more})

    async def show(self, request: web.Request) -> web.Response:
        instance = await self._found(request)
        waiting = await self._store.waiting(instance.user_id) if instance.state is State.FAILED else None
        return web.json_response(instance_json(instance, waiting))

    async def act(self, request: web.Request) -> web.Response:
        action: Action = {
            "start": self._start,
            "suspend": lambda i, actor: self._lifecycle.suspend(i.user_id, actor=actor),
            "stop": lambda i, actor: self._lifecycle.stop(i.user_id, actor=actor),
            "restart": self._restart,
        }[request.match_info["action"]]
        return web.json_response(instance_json(await action(await self._found(request), request[CALLER].actor)))

    async def destroy(self, request: web.Request) -> web.Response:
        instance = await self._found(request)
        await self._lifecycle.destroy(instance.user_id, actor=request[CALLER].actor)
        return web.Response(status=204)

    async def _start(self, instance: Instance, actor: str) -> Instance:
        visitor = Visitor(instance.user_id, instance.email)
        deadline = self._clock.monotonic() + START_WITHIN_S
        return await self._lifecycle.ensure_ready(visitor, deadline=deadline, actor=actor, doubt=True, force=True)

    async def _restart(self, instance: Instance, actor: str) -> Instance:
        return await self._start(await self._lifecycle.stop(instance.user_id, actor=actor), actor)

    async def _found(self, request: web.Request) -> Instance:
        try:
            user_id = UserId(UUID(request.match_info["user_id"]))
        except ValueError:
            raise Refused(BAD_ID) from None
        instance = await self._store.find(user_id)
        if instance is None:
            raise Refused(NO_INSTANCE)
        return instance


@web.middleware
async def failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure as a problem; to the operator, Fly's own words are said too (they carry no credential)."""
    try:
        return await handler(request)
    except Refused as refused:
        return problem(refused.answer)
    except web.HTTPException as refused:
        return problem(Answer(refused.status, refused.reason, "There is nothing here for this method and path."))
    except Moved as moved:
        return problem(Answer(409, "Somebody else moved it first", str(moved), 1))
    except CloudError as fault:
        return problem(Answer(502, f"Fly: {type(fault).__name__}", str(fault)))
    except ProvisionerError as fault:
        return problem(answer_for(fault))
    except Exception as fault:
        log.exception("admin_broke", path=request.path[:200])
        return problem(answer_for(fault))
