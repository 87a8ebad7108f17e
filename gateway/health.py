"""Is this replica alive, and may it take traffic?"""

import asyncio
from collections.abc import Callable

from aiohttp import web

from provisioner.ports import Store

READY_WITHIN_S = 2.0


class Health:
    """`/_gateway/healthz` tells of the process alone; `/_gateway/readyz` asks the database too.

    A check that fails must not restart a gateway whose database is away: signed-in users are still served. So the
    platform's liveness check is healthz, and readyz is for routing and for people.
    """

    def __init__(self, store: Store, fly: Callable[[], str]) -> None:
        """`fly` says how it stands between us and Fly. It is told and refuses no traffic: who is awake is served."""
        self._store, self._fly = store, fly
        self.draining = False

    async def alive(self, _: web.BaseRequest) -> web.Response:
        return _said(200, {"status": "ok"})

    async def ready(self, _: web.BaseRequest) -> web.Response:
        if self.draining:
            return _said(503, {"status": "draining"})
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await self._store.page(limit=1)
        except Exception as fault:
            return _said(503, {"status": "unready", "database": type(fault).__name__})
        return _said(200, {"status": "ready", "database": "ok", "fly": self._fly()})


def _said(status: int, body: dict[str, str]) -> web.Response:
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})
