"""The gateway under test: the real `my-jarvis serve`, people signed in through its own front door, everything on."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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


@contextmanager
def gateways(
    wanted: Sequence[Lane], installed: Installed, run: Path, *, core: int, load_core: int
) -> Iterator[list[System]]:
    """One replica for each lane, before one cloud, with the same people signed in."""
    with ExitStack() as stack:
        ports = free_ports(3 * len(wanted))
        public_url = f"http://127.0.0.1:{ports[0]}"
        cloud = stack.enter_context(
            Child(
                [sys.executable, "-m", "bench.cloud", run / "cloud", public_url, installed.backend],
                core=load_core,
                log=run / "cloud.log",
            )
        )
        stack.callback(cloud.hang_up)
        settings: dict[str, str] = json.loads(cloud.line("ready "))
        replicas = []
        for number, lane in enumerate(wanted):
            public, admin, broker = ports[3 * number : 3 * number + 3]
            listens = {
                "PUBLIC_LISTEN": f"127.0.0.1:{public}",
                "ADMIN_LISTEN": f"127.0.0.1:{admin}",
                "BROKER_LISTEN": f"127.0.0.1:{broker}",
                "PROXY_LANE": lane.value,
            }
            replicas.append(stack.enter_context(_serving(lane, settings | listens, run, core)))
            replicas[-1].line("ready ")
        visitors = tuple(_signed_in(name, public_url, run) for name in VISITORS)
        for number in range(len(wanted)):
            for visitor in visitors:
                answers(ports[3 * number], visitor.lines)
        yield [
            System(name=lane.system, port=ports[3 * number], pid=replicas[number].pid, visitors=visitors)
            for number, lane in enumerate(wanted)
        ]


def _serving(lane: Lane, settings: Mapping[str, str], run: Path, core: int) -> Child:
    environment = {**{name: os.environ[name] for name in _KEPT if name in os.environ}, **settings}
    return Child([_SERVE, "serve"], core=core, log=run / f"gateway-{lane}.log", environment=environment)


def _signed_in(name: str, public_url: str, run: Path) -> Visitor:
    with httpx.Client(base_url=public_url, follow_redirects=True, timeout=40, trust_env=False) as browser:
        browser.get("/auth/login", params={"next": "/", "login_hint": f"{name}@example.com"})
        cookie = browser.cookies.get("jarvis")
        if cookie is None:
            raise Failed(f"{name} could not sign in: cookies {list(browser.cookies.keys())}")
        return Visitor.of(head_lines(f"jarvis={cookie}"), run / f"{name}.head")
