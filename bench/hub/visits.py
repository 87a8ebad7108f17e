"""How long a signed-in person waits for the App's first answer, here and at JupyterHub."""

import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

import httpx

from bench.hub.table import Waits, table
from bench.install import HERE, PLACE, Installed, install
from bench.ours import Replica, lanes, replicas, sign_in
from bench.processes import Child, Failed, cores, until
from bench.systems import free_ports, listening

APP: Final = HERE / "hub" / "app.py"
ALONE: Final = 7
TOGETHER: Final = 3
CROWD: Final = 10
FLYS_PACE_S: Final = 1.5
"""Longer than Fly wants between two new Machines of an app."""
_LOOK_S: Final = 0.01
_PATIENCE_S: Final = 60.0

SignIn = Callable[[str], Callable[[], None]]
"""Signs in somebody new; what it gives makes the first visit and returns with the App's answer."""


def hub() -> None:
    """Print the table."""
    installed = install(hub=True)
    run = Path(tempfile.mkdtemp(prefix="hub-", dir=PLACE))
    run.chmod(0o755)
    try:
        boot = _own_boot(run)
        waits = {}
        with _gateway(run) as ours:
            waits["my-jarvis, the Machine is made"] = _measured(ours.newcomer, apart_s=FLYS_PACE_S)
            waits["my-jarvis, the Machine was stopped"] = _measured(ours.comer_back)
        with _jupyterhub(installed, run) as theirs:
            waits["JupyterHub, first spawn"] = _measured(theirs)
        print(table(boot, waits))
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _measured(sign_in_to: SignIn, *, apart_s: float = 0.0) -> Waits:
    """`apart_s` lies between two visits that are to be alone."""

    def alone(name: str) -> float:
        time.sleep(apart_s)
        return _waits(sign_in_to, [name])[0]

    names = (f"visitor{number}" for number in count())
    sign_in_to(next(names))()  # whatever is loaded on first use is not what a visit costs
    singles = [alone(next(names)) for _ in range(ALONE)]
    crowds = [_waits(sign_in_to, [next(names) for _ in range(CROWD)]) for _ in range(TOGETHER)]
    return Waits(alone=singles, together=crowds)


def _waits(sign_in_to: SignIn, names: list[str]) -> list[float]:
    """Seconds from the visit to the answer for people who come at once, all signed in before."""
    visits = [sign_in_to(name) for name in names]

    def wait(visit: Callable[[], None]) -> float:
        began = time.perf_counter()
        visit()
        return time.perf_counter() - began

    with ThreadPoolExecutor(len(visits)) as people:
        return list(people.map(wait, visits))


class _Gateway:
    """The gateway's people, and its operator."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._operator = httpx.Client(
            base_url=replica.admin,
            headers={"Authorization": f"Bearer {replica.admin_token}"},
            timeout=_PATIENCE_S,
            trust_env=False,
        )

    def newcomer(self, name: str) -> Callable[[], None]:
        headers = {"Cookie": sign_in(name, self._replica.port)}
        origin = f"http://127.0.0.1:{self._replica.port}"
        browser = httpx.Client(base_url=origin, headers=headers, timeout=_PATIENCE_S, trust_env=False)

        def visit() -> None:
            answer = browser.get("/")
            if answer.content != b"APP":
                raise Failed(f"{name}: {answer.status_code} {answer.text[:300]}")

        return visit

    def comer_back(self, name: str) -> Callable[[], None]:
        """Somebody whose Machine was stopped meanwhile."""
        visit = self.newcomer(name)
        visit()
        known = self._operator.get("/v1/instances", params={"limit": 100}).raise_for_status().json()["instances"]
        (user_id,) = [instance["user_id"] for instance in known if instance["email"] == f"{name}@example.com"]
        self._operator.post(f"/v1/instances/{user_id}/stop").raise_for_status()
        return visit


@contextmanager
def _gateway(run: Path) -> Iterator[_Gateway]:
    app = shlex.join([sys.executable, "-S", str(APP)])
    command = ["/usr/bin/env", f"JARVIS_COMMAND={app}", sys.executable, "-m", "golden.guard"]
    everywhere = ",".join(cores())
    with replicas(lanes()[-1:], command, run, core=everywhere, load_core=everywhere) as (replica,):
        yield _Gateway(replica)


@contextmanager
def _jupyterhub(installed: Installed, run: Path) -> Iterator[SignIn]:
    ports = free_ports(3)
    program = installed.proxy / "configurable-http-proxy"
    environment = {
        "PATH": f"{installed.python.parent}:/usr/local/bin:/usr/bin:/bin",
        "BENCH_PORTS": ",".join(map(str, ports)),
        "BENCH_PROXY": f"{installed.node} {program}",
        "BENCH_APP": str(APP),
        "HOME": str(run),
        "USER": "root",
    }
    # It keeps its files where it is started.
    config = HERE / "hub" / "jupyterhub_config.py"
    command: list[str | Path] = ["env", "--chdir", run, installed.jupyterhub, "--config", config]
    log = run / "jupyterhub.log"
    origin = f"http://127.0.0.1:{ports[2]}"
    with Child(command, core=",".join(cores()), log=log, environment=environment) as child:
        until(lambda: child.process.poll() is not None or _up(origin), what="JupyterHub answers", within_s=60)
        if child.process.poll() is not None:
            raise Failed(f"JupyterHub ended: {child.words()}")

        def sign_in_to(name: str) -> Callable[[], None]:
            return _at_hub(name, origin)

        yield sign_in_to


def _up(origin: str) -> bool:
    try:
        return httpx.get(f"{origin}/hub/login", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _at_hub(name: str, origin: str) -> Callable[[], None]:
    browser = httpx.Client(base_url=origin, timeout=_PATIENCE_S, trust_env=False)
    found = re.search(r'name="_xsrf" value="([^"]+)"', browser.get("/hub/login").text)
    if found is None:
        raise Failed("JupyterHub's login form has no _xsrf")
    answer = browser.post("/hub/login", data={"username": name, "password": "x", "_xsrf": found[1]})
    if answer.status_code != 302:
        raise Failed(f"JupyterHub lets nobody in: {answer.status_code}")

    def visit() -> None:
        browser.get("/hub/spawn")

        def there() -> bool:
            answer = browser.get(f"/user/{name}/")
            return answer.status_code == 200 and answer.content == b"APP"

        until(there, what=f"{name}'s server", within_s=_PATIENCE_S)

    return visit


def _own_boot(run: Path) -> float:
    """Median seconds from starting the App's process to its first open door, with nobody in between."""
    took = []
    for _ in range(ALONE):
        (port,) = free_ports(1)
        command: list[str | Path] = [sys.executable, "-S", APP]
        began = time.perf_counter()
        with Child(command, core=",".join(cores()), log=run / "app.log", environment={"PORT": str(port)}):
            while not listening(port):
                time.sleep(_LOOK_S)
            took.append(time.perf_counter() - began)
    return median(took)
