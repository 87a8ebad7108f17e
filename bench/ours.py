"""The gateway under test: the real `my-jarvis serve`, people signed in through its own front door, everything on."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from bench.head import head_lines
from bench.install import Installed
from bench.processes import Child, Failed
from bench.systems import System, Visitor, answers, free_ports
from bench.targets import Lane
from gateway.settings import Settings

VISITORS: Final = ("ada", "grace", "alan", "edsger")
"""Several, because one person's Machine takes a limited number of connections."""
_KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "SSL_CERT_FILE")
_SERVE: Final = Path(sys.executable).with_name("my-jarvis")


def lanes() -> tuple[Lane, ...]:
    """The lanes that this gateway has. One alone can be asked for with PROXY_LANE."""
    known = (Lane.CORE, Lane.FAST) if "proxy_lane" in Settings.model_fields else (Lane.CORE,)
    asked = os.environ.get("PROXY_LANE")
    if asked is None:
        return known
    if asked not in known:
        raise Failed(f"PROXY_LANE={asked}: this gateway has {', '.join(known)}")
    return (Lane(asked),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One running `my-jarvis serve`."""

    lane: Lane
    port: int
    pid: int
    admin: str
    admin_token: str


@contextmanager
def replicas(
    wanted: Sequence[Lane], command: Sequence[str | Path], run: Path, *, core: str, load_core: str
) -> Iterator[list[Replica]]:
    """One for each lane, before one cloud whose Machines run `command`. Whom one signs in, all know."""
    with ExitStack() as stack:
        ports = free_ports(3 * len(wanted))
        public_url = f"http://127.0.0.1:{ports[0]}"
        programs = [sys.executable, "-m", "bench.cloud", run / "cloud", public_url, *command]
        cloud = stack.enter_context(Child(programs, core=load_core, log=run / "cloud.log"))
        stack.callback(cloud.hang_up)
        settings: dict[str, str] = json.loads(cloud.line("ready "))
        started = []
        for number, lane in enumerate(wanted):
            public, admin, broker = ports[3 * number : 3 * number + 3]
            listens = {
                "PUBLIC_LISTEN": f"127.0.0.1:{public}",
                "ADMIN_LISTEN": f"127.0.0.1:{admin}",
                "BROKER_LISTEN": f"127.0.0.1:{broker}",
                "PROXY_LANE": lane.value,
            }
            child = stack.enter_context(_serving(lane, settings | listens, run, core))
            child.line("ready ")
            started.append(
                Replica(
                    lane=lane,
                    port=public,
                    pid=child.pid,
                    admin=f"http://127.0.0.1:{admin}",
                    admin_token=settings["ADMIN_TOKEN"],
                )
            )
        yield started


@contextmanager
def gateways(
    wanted: Sequence[Lane], installed: Installed, run: Path, *, core: str, load_core: str
) -> Iterator[list[System]]:
    """A replica for each lane as a system, with the same people signed in and their Machines up."""
    with replicas(wanted, [installed.backend], run, core=core, load_core=load_core) as started:
        cookies = {name: sign_in(name, started[0].port) for name in VISITORS}
        visitors = tuple(Visitor.of(head_lines(cookie), run / f"{name}.head") for name, cookie in cookies.items())
        for replica in started:
            for visitor in visitors:
                answers(replica.port, visitor.lines)
        yield [
            System(name=replica.lane.system, port=replica.port, pid=replica.pid, visitors=visitors)
            for replica in started
        ]


def sign_in(name: str, port: int) -> str:
    """Through the gateway's front door, up to its cookie: the page behind it is not asked for."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=40, trust_env=False) as browser:
        answer = browser.get("/auth/login", params={"next": "/", "login_hint": f"{name}@example.com"})
        while answer.next_request is not None:
            answer = browser.send(answer.next_request)
            cookie = browser.cookies.get("jarvis")
            if cookie is not None:
                return f"jarvis={cookie}"
        raise Failed(f"{name} could not sign in: {answer.status_code} {answer.text[:300]}")


def _serving(lane: Lane, settings: Mapping[str, str], run: Path, core: str) -> Child:
    environment = {**{name: os.environ[name] for name in _KEPT if name in os.environ}, **settings}
    return Child([_SERVE, "serve"], core=core, log=run / f"gateway-{lane}.log", environment=environment)
