"""The stand-in as a whole: put together, opened, closed."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from localcloud.fly import (
    keys,
    routes_apps,
    routes_details,
    routes_local,
    routes_machines,
    routes_platform,
    routes_volumes,
)
from localcloud.fly.addresses import Addresses
from localcloud.fly.calls import Calls
from localcloud.fly.clock import Clock, SystemClock
from localcloud.fly.disk import Disk
from localcloud.fly.edge import Edge, Route
from localcloud.fly.errands import Errands
from localcloud.fly.faults import Faults, Latencies
from localcloud.fly.flycast import Flycast
from localcloud.fly.host import Host
from localcloud.fly.leases import Leases
from localcloud.fly.life import Life
from localcloud.fly.limits import DOCUMENTED, Limits, Rate
from localcloud.fly.listener import Listener
from localcloud.fly.memory import Memory
from localcloud.fly.process import Watchdog
from localcloud.fly.restore import restore
from localcloud.fly.verbs import Verbs
from localcloud.fly.volumes import Volumes
from localcloud.fly.world import World

_ROUTES: tuple[Route, ...] = (
    *routes_apps.ROUTES,
    *routes_machines.ROUTES,
    *routes_details.ROUTES,
    *routes_volumes.ROUTES,
    *routes_platform.ROUTES,
    *routes_local.ROUTES,
)


@dataclass(frozen=True, slots=True)
class LocalFly:
    """A running stand-in. The API is at `url` + "/v1"; `faults`, `calls` and `latencies` are those of `/_local`."""

    url: str
    world: World
    faults: Faults
    calls: Calls
    limits: Limits

    @property
    def latencies(self) -> Latencies:
        return self.world.latencies


@asynccontextmanager
async def local_fly(
    data_dir: Path,
    *,
    token: str,
    port: int = 0,
    command: Sequence[str] | None,
    images: Mapping[str, Sequence[str]] | None = None,
    region: str = "iad",
    limits: Mapping[str, Rate] = DOCUMENTED,
    retry_after: bool = True,
    latencies: Latencies | None = None,
    clock: Clock | None = None,
    thin: bool = False,
) -> AsyncIterator[LocalFly]:
    """Fly on 127.0.0.1:`port` (0: a free one) until the context is left.

    `command` is the main process of every Machine, unless `images` names another for its image; None makes Machines
    without a process, which answer like a Guard if they are `thin` (see `thin.Thin`). `region` is where Machines go
    that name none. What exists is kept in `data_dir`: opening it again finds everything, with all Machines stopped. No
    process of any Machine outlives the context, nor a killed stand-in.
    """
    clock = clock or SystemClock()
    faults, calls, limiter = Faults(), Calls(), Limits(limits, retry_after)
    edge = Edge(token=token, clock=clock, limits=limiter, faults=faults, calls=calls)
    disk = Disk(data_dir)
    memory = Memory(disk.memory)
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(Listener(port))
        watchdog = stack.enter_context(Watchdog())
        errands = Errands()
        world = World(
            clock=clock,
            disk=disk,
            errands=errands,
            addresses=Addresses(listener.port),
            latencies=latencies or Latencies(),
            memory=memory,
            default_region=region,
        )
        restore(world, memory.load())
        host = Host(disk, clock, watchdog, command=command, images=images or {}, thin=thin)
        # in this order, or an errand under way might start what was just killed
        stack.push_async_callback(host.empty, world.machines.values())
        await stack.enter_async_context(errands)
        stack.callback(lambda: memory.save(world.contents()))
        life, volumes = Life(world, host), Volumes(world)
        volumes.bury()
        errands.begin(memory.keep_writing(world.contents))

        server = web.Application(
            middlewares=[edge.answer_refusals, edge.record, edge.authenticate, edge.strike, edge.limit],
            client_max_size=16 * 1024**2,
        )
        server[keys.WORLD], server[keys.LIFE], server[keys.VOLUMES] = world, life, volumes
        verbs = Verbs(world, life, host)
        server[keys.VERBS], server[keys.LEASES] = verbs, Leases(clock, _owner(token))
        server[keys.FLYCAST] = await stack.enter_async_context(Flycast(world, verbs))
        server[keys.FAULTS], server[keys.CALLS], server[keys.HOST] = faults, calls, host
        for route in _ROUTES:
            server.router.add_route(route.method, route.path, route.handler, name=route.action or None)
        edge.close_listener = lambda seconds: listener.close_for(seconds, clock, errands)
        await stack.enter_async_context(listener.serving(server))
        yield LocalFly(f"http://127.0.0.1:{listener.port}", world, faults, calls, limiter)


def _owner(token: str) -> str:
    digest = hashlib.sha256(token.encode()).digest()
    return f"{uuid.UUID(bytes=digest[:16])}@tokens.fly.io"
