"""What people would pick instead, each on one core, set up alike, before an upstream of the same kind."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.head import head_lines
from bench.install import HERE, Installed
from bench.processes import Child, tool, until
from bench.systems import System, Visitor, answers, free_ports, listening
from bench.targets import CHP, NGINX

DIRECT: Final = "no proxy"
NGINX_MAP: Final = "nginx, by cookie"
HAPROXY: Final = "HAProxy, by cookie"
CADDY: Final = "Caddy"
ALL: Final = (NGINX, NGINX_MAP, HAPROXY, CADDY, CHP, DIRECT)
_COOKIE: Final = "pYRJbGvX3hHqzk9e0V1nO7tLw2sUc5dAfMi8xKjQr4B"
_VERSION: Final = re.compile(r"\d+\.\d+(\.\d+)*")


class Peers:
    """Starts peers for a run; they end with `stack`."""

    def __init__(self, installed: Installed, run: Path, stack: ExitStack, *, core: str, load_core: str) -> None:
        self._installed, self._run, self._stack, self._core = installed, run, stack, core
        (self._upstream,) = free_ports(1)
        upstream = Child([installed.backend, f"127.0.0.1:{self._upstream}"], core=load_core, log=run / "upstream.log")
        stack.enter_context(upstream)
        until(lambda: listening(self._upstream), what="the upstream listens")
        self._visitor = Visitor.of(head_lines(f"jarvis={_COOKIE}"), run / "peer.head")

    def direct(self) -> System:
        return System(name=DIRECT, port=self._upstream, pid=None, visitors=(self._visitor,))

    def nginx(self) -> list[System]:
        """Plain, with a port without response buffering for events; and with a look at the cookie."""
        plain, unbuffered, mapped = free_ports(3)
        config = self._config("nginx.conf", port=plain, unbuffered=unbuffered, mapped=mapped)
        command = [tool("nginx"), "-c", config, "-e", "stderr", "-p", self._run]
        child = self._started("nginx", command, plain)
        version = _version([tool("nginx"), "-v"])
        return [
            System(
                name=NGINX,
                port=plain,
                pid=child.pid,
                visitors=(self._visitor,),
                other_ports={"events": unbuffered},
                version=version,
            ),
            System(
                name=NGINX_MAP,
                port=mapped,
                pid=child.pid,
                visitors=(self._visitor,),
                only=frozenset({"small GET", "churn"}),
                version=version,
            ),
        ]

    def haproxy(self) -> System:
        (port,) = free_ports(1)
        (self._run / "haproxy.map").write_text(f"{_COOKIE} ada\n")
        config = self._config("haproxy.cfg", port=port)
        child = self._started("haproxy", [tool("haproxy"), "-f", config, "-db"], port)
        return self._system(HAPROXY, port, child, _version([tool("haproxy"), "-v"]))

    def caddy(self) -> System:
        (port,) = free_ports(1)
        config = self._config("Caddyfile", port=port)
        command = [self._installed.caddy, "run", "--config", config, "--adapter", "caddyfile"]
        folders = {"HOME": str(self._run), "XDG_DATA_HOME": str(self._run), "XDG_CONFIG_HOME": str(self._run)}
        child = self._started("caddy", command, port, {"GOMAXPROCS": "1", **folders})
        return self._system(CADDY, port, child, _version([self._installed.caddy, "version"]))

    def chp(self) -> System:
        """JupyterHub's proxy, on the Node at hand."""
        port, api = free_ports(2)
        program = self._installed.proxy / "configurable-http-proxy"
        node = self._installed.node
        command = [node, program, "--ip", "127.0.0.1", "--port", port, "--api-ip", "127.0.0.1", "--api-port", api]
        command += ["--default-target", f"http://127.0.0.1:{self._upstream}", "--log-level", "error"]
        child = self._started("chp", command, port, {"CONFIGPROXY_AUTH_TOKEN": "bench"})
        version = f"{_version([node, program, '--version'])}, Node {_version([node, '--version'])}"
        return self._system(CHP, port, child, version)

    def _system(self, name: str, port: int, child: Child, version: str) -> System:
        return System(name=name, port=port, pid=child.pid, visitors=(self._visitor,), version=version)

    def _started(self, name: str, command: Sequence[object], port: int, environment: Mapping[str, str] = {}) -> Child:
        child = self._stack.enter_context(
            Child(
                [str(part) for part in command],
                core=self._core,
                log=self._run / f"{name}.log",
                environment={**os.environ, **environment},
            )
        )
        until(lambda: child.process.poll() is not None or listening(port), what=f"{name} listens")
        answers(port, self._visitor.lines)
        return child

    def _config(self, name: str, **ports: int) -> Path:
        text = (HERE / "peers" / name).read_text()
        for key, value in {"RUN": self._run, "COOKIE": _COOKIE, "UPSTREAM": self._upstream, **ports}.items():
            text = text.replace(f"@{key.upper()}@", str(value))
        file = self._run / name
        file.write_text(text)
        return file


@contextmanager
def peers(
    wanted: Sequence[str], installed: Installed, run: Path, *, core: str, load_core: str
) -> Iterator[list[System]]:
    """Those of ALL that are `wanted`, answering, until the block ends."""
    with ExitStack() as stack:
        starter = Peers(installed, run, stack, core=core, load_core=load_core)
        makers: tuple[tuple[set[str], Callable[[], list[System]]], ...] = (
            ({NGINX, NGINX_MAP}, starter.nginx),
            ({HAPROXY}, lambda: [starter.haproxy()]),
            ({CADDY}, lambda: [starter.caddy()]),
            ({CHP}, lambda: [starter.chp()]),
            ({DIRECT}, lambda: [starter.direct()]),
        )
        started = [system for names, make in makers if names & set(wanted) for system in make()]
        yield [system for system in started if system.name in wanted]


def _version(command: Sequence[object]) -> str:
    told = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    found = _VERSION.search(told.stdout + told.stderr)
    return found[0] if found else "?"
