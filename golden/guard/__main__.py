"""The Guard as a process: `python -m golden.guard`. Listens first, then starts the App."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable

from gateway.proxy.engine import Engine
from gateway.proxy.fields import ASKED_INSIDE
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.plain import Plain, WholeLane
from golden.guard import settings as guard_settings
from golden.guard.activity import busy
from golden.guard.admission import Admission
from golden.guard.answer import problem
from golden.guard.app_process import AppProcess
from golden.guard.claim import Claim, Desk
from golden.guard.door import Door
from golden.guard.inside import InnerDoor
from golden.guard.leases import WorkLeases
from golden.guard.link import Link
from golden.guard.log import log
from golden.guard.settings import Address, BadSettings, Settings
from provisioner.clock import SystemClock

LAST_ANSWERS_S = 1.0
"""After the App has ended: time for its last answers."""
BACKLOG = 1024
INSIDE_BYTES = 16_384
LIMITS = ProxyLimits(
    first_byte_s=86_400.0,  # whoever asks decides how long to wait; the App may think
    idle_s=86_400.0,
    stall_s=300.0,
    head_s=30.0,
    keepalive_s=300.0,  # longer than a gateway keeps its own idle connections
    max_head_bytes=69_632,  # what a gateway lets in, and what it adds
    max_fields=320,
    per_endpoint=4_096,
    # Frameworks drop idle connections after 2 s and more, and servers with a thread for each have few to spare. A fresh
    # one over loopback costs less than a lost POST.
    idle_pool_s=1.0,
)


def main() -> int:
    """Run until SIGTERM or SIGINT. 2 if the settings make no sense, 1 if the address is taken."""
    try:
        settings = guard_settings.read(os.environ)
    except BadSettings as bad:
        for trouble in bad.problems:
            log("bad_setting", problem=trouble)
        return 2
    try:
        listener = bind(settings.listen)
    except OSError as error:
        log("cannot_listen", host=settings.listen.host, port=settings.listen.port, why=str(error))
        return 1
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(guard(settings, listener))
    return 0


async def guard(settings: Settings, listener: socket.socket) -> None:
    """Guard the Machine at `listener` until told to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    leases = WorkLeases(clock.monotonic)
    inside = await asyncio.start_server(InnerDoor(leases).serve, "127.0.0.1", settings.inner_port, limit=INSIDE_BYTES)
    inner_port = inside.sockets[0].getsockname()[1]
    environment = {**settings.app_environment, "GUARD_URL": f"http://127.0.0.1:{inner_port}"}
    app = AppProcess(settings.command, environment, port=settings.app_port)
    admission = Admission(settings.keys, settings.machine_id, owner=settings.owner)
    owned = asyncio.Event()

    def belong(claim: Claim) -> None:
        admission.belong_to(claim.user_id)
        app.personalise({**claim.environment, "USER_ID": claim.user_id, "USER_EMAIL": claim.email})
        owned.set()

    desk = None
    if settings.claim_file is None:
        owned.set()
    else:
        desk = Desk(settings.claim_file, settings.keys, settings.machine_id, taken=belong)

    async def run_app() -> None:
        await owned.wait()
        await app.run()

    engine = Engine(LIMITS, clock)
    door = Door(
        admission,
        app,
        {prefix: Link(app, engine.pool, port) for prefix, port in {"": 0, **settings.routes}.items()},
        boot_id=os.urandom(8).hex(),
        busy=lambda: busy(engine.live.all(), leases.held(), now=clock.monotonic()),
        desk=desk,
    )
    lane = WholeLane(engine, door.judge, door.connect, door.explain)
    front = Plain(LIMITS, lane, verdicts=ASKED_INSIDE, refusal=problem)
    server = await loop.create_server(front, sock=listener, backlog=BACKLOG)
    host, port = listener.getsockname()[:2]
    log("listening", host=host, port=port)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run_app())
        await stop.wait()
        log("stopping")
        server.close()
        inside.close()
        front.pre_shutdown()
        tasks.create_task(engine.live.hang_up(1001))
        running.cancel()
    await front.shutdown(LAST_ANSWERS_S)
    await engine.close()


def bind(address: Address) -> socket.socket:
    """A listening socket's socket; `::` takes IPv4 too, and falls back to it where there is no IPv6."""
    if ":" in address.host:
        try:
            return _bound(socket.AF_INET6, address.host, address.port)
        except OSError:
            if address.host != "::":
                raise
            return _bound(socket.AF_INET, "0.0.0.0", address.port)  # noqa: S104
    return _bound(socket.AF_INET, address.host, address.port)


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # a tenth less CPU for one MB; golden.guard runs without it too
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
