"""The whole system as real processes: started, read, interrupted, killed, and looked for afterwards."""

import asyncio
import base64
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import pytest

from localcloud.auth import LocalAuth, local_auth
from localcloud.database import Database
from localcloud.fly import Latencies, LocalFly, local_fly
from localcloud.fly.clock import Clock
from localcloud.fly.limits import UNLIMITED, Rate
from localcloud.fly.tree import Tree
from tests.parts.postgres import lay_out

T = TypeVar("T")

COMMAND: Final = Path(sys.executable).with_name("my-jarvis")
KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "XDG_CACHE_HOME", "PYTHONPATH")
"""Of the environment of the test run: nothing that could be a setting."""
UP_WITHIN_S: Final = 60.0
DOWN_WITHIN_S: Final = 40.0
LOOK_S: Final = 0.02


def python_app(*arguments: str) -> str:
    """The shell command of an App in Python.

    With `exec`: a shell ends before what it started, and a Guard that stops then waits for PID 1 to reap the rest,
    which takes some hosts 2 s.
    """
    return "exec " + shlex.join([sys.executable, *arguments])


ECHO_APP: Final = python_app("-m", "tests.parts.echo_app")
SMALL_APP: Final = python_app("-S", str(Path(__file__).with_name("small_app.py")))


async def until(look: Callable[[], Awaitable[T]], *, within: float = 20.0, what: str = "") -> T:
    """What `look` gives as soon as it is true. Fails the test after `within` seconds, telling the last look."""
    deadline = time.monotonic() + within
    while True:
        seen = await look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within:g} s: {what or look.__name__} (last: {seen!r})"
        await asyncio.sleep(LOOK_S)


class Program:
    """A `my-jarvis …` child process in a session of its own. What it says is kept in `folder`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._said, self._log = folder / "stdout", folder / "stderr"
        env = {name: os.environ[name] for name in KEPT if name in os.environ}
        with self._said.open("wb") as said, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(COMMAND), *arguments],
                # Nothing here speaks TLS, and to read all certificates of the world is a twentieth of a start.
                env={**env, "LOG_LEVEL": "debug", "SSL_CERT_FILE": os.devnull, **environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def ready(self) -> dict[str, str]:
        """What its `ready` line tells. Blocks until then; fails the test if it ends before, or takes too long."""
        deadline = time.monotonic() + UP_WITHIN_S
        while time.monotonic() < deadline:
            for line in self._said.read_text().splitlines(keepends=True):
                if line.startswith("ready ") and line.endswith("\n"):
                    told: dict[str, str] = json.loads(line.removeprefix("ready "))
                    return told
            if self._process.poll() is not None:
                break
            time.sleep(LOOK_S)
        pytest.fail(f"it did not become ready (exit code {self._process.poll()}):\n{self.log()[-4000:]}", pytrace=False)

    def log(self) -> str:
        """What it said on standard error so far, earlier runs in the same folder included."""
        return self._log.read_text(errors="replace")

    def family(self) -> dict[int, str]:
        """Every living process that it started, whatever session it is in now, itself included: {pid: born}."""
        now = living()
        return {pid: now[pid] for pid in Tree(self.pid, ()).members() if pid in now}

    def interrupt(self) -> int:
        """Ctrl-C: SIGINT to its whole process group, as a terminal does. Its exit code, when it has ended."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGINT)
        return self._process.wait(DOWN_WITHIN_S)

    def kill(self) -> None:
        """kill -9 for itself alone: it can say goodbye to nobody."""
        self._process.kill()
        self._process.wait(DOWN_WITHIN_S)

    def close(self) -> None:
        """Leave nothing behind, however the test went."""
        family = self.family()
        try:
            self.interrupt()
        except subprocess.TimeoutExpired:
            self.kill()
        for pid in survivors(family):
            os.kill(pid, signal.SIGKILL)


def living() -> dict[int, str]:
    """Every living process and when it began, which tells it from a later one with its number."""
    command = ["ps", "-A", "-o", "pid=", "-o", "stat=", "-o", "lstart="]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    fields = (line.split(maxsplit=2) for line in listing.stdout.splitlines())
    return {int(pid): born for pid, state, born in fields if not state.startswith("Z")}


def survivors(family: Mapping[int, str]) -> list[int]:
    """Who of `family` still lives."""
    now = living()
    return [pid for pid, born in family.items() if now.get(pid) == born]


def mentioning(text: str) -> list[int]:
    """Other living processes with `text` in their command line or environment, however they came to be (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in said and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


@dataclass(frozen=True, slots=True)
class System:
    """A running `my-jarvis dev`, by what its `ready` line says."""

    program: Program
    data_dir: Path
    public: str
    admin: str
    broker: str
    fly: str
    auth: str
    database: str = field(repr=False)
    admin_token: str = field(repr=False)

    @property
    def secrets(self) -> dict[str, str]:
        """The local cloud's keys: `fly_token`, `publishable_key`, `master_keys`, …"""
        told: dict[str, str] = json.loads((self.data_dir / "secrets.json").read_text())
        return told

    @property
    def fly_token(self) -> str:
        return self.secrets["fly_token"]


def start_dev(
    data_dir: Path, *, app_command: str | None = ECHO_APP, public_port: int = 0, environment: Mapping[str, str] = {}
) -> System:
    """`my-jarvis dev` on free ports, ready. The caller ends it; `dev_system` does by itself."""
    arguments = ["dev", "--public-port", str(public_port), "--admin-port", "0", "--broker-port", "0"]
    arguments += ["--data-dir", str(data_dir), *(["--app-command", app_command] if app_command else [])]
    program = Program(arguments, environment, data_dir.with_name(data_dir.name + "-said"))
    try:
        return System(program, data_dir, **program.ready())
    except BaseException:
        program.close()
        raise


@contextmanager
def dev_system(
    data_dir: Path, *, app_command: str | None = ECHO_APP, environment: Mapping[str, str] = {}
) -> Iterator[System]:
    """`my-jarvis dev` for the block, on a database that was laid out for it."""
    data_dir.mkdir(mode=0o700)
    lay_out(data_dir / "postgres")
    system = start_dev(data_dir, app_command=app_command, environment=environment)
    try:
        yield system
    finally:
        system.program.close()


@dataclass(frozen=True, slots=True)
class Replica:
    """One running `my-jarvis serve`."""

    program: Program
    public: str
    admin: str
    broker: str
    fly: str
    auth: str
    database: str = field(repr=False)
    admin_token: str = field(repr=False)
    fly_token: str = field(repr=False)


class Served:
    """Local Auth and Fly in this process, a database, and as many replicas of `my-jarvis serve` as are asked for."""

    def __init__(self, folder: Path, auth: LocalAuth, fly: LocalFly, settings: Mapping[str, str]) -> None:
        self.auth, self.fly = auth, fly
        self._folder, self._settings = folder, settings
        self._ports: dict[str, dict[str, str]] = {}
        self._programs: list[Program] = []

    async def replica(self, name: str = "one", **settings: str) -> Replica:
        """A replica, ready. Under the same name it has the same addresses again, as one that was restarted."""
        listens = self._ports.setdefault(
            name,
            {"PUBLIC_LISTEN": self._settings["PUBLIC_URL"].removeprefix("http://")}
            if not self._ports
            else {"PUBLIC_LISTEN": _free_address()},
        )
        listens.setdefault("ADMIN_LISTEN", _free_address())
        listens.setdefault("BROKER_LISTEN", _free_address())
        program = Program(["serve"], {**self._settings, **listens, **settings}, self._folder / name)
        self._programs.append(program)
        return Replica(
            program,
            **await asyncio.to_thread(program.ready),
            fly=self.fly.url,
            auth=self.auth.url,
            database=self._settings["DATABASE_URL"],
            admin_token=self._settings["ADMIN_TOKEN"],
            fly_token=self._settings["FLY_API_TOKEN"],
        )

    async def close(self) -> None:
        # Beside each other and beside our loop, which must go on answering as Fly and Auth meanwhile.
        await asyncio.gather(*(asyncio.to_thread(program.close) for program in self._programs))


@asynccontextmanager
async def served(
    folder: Path,
    database: Database,
    *,
    app_command: str = ECHO_APP,
    limits: Mapping[str, Rate] = UNLIMITED,
    latencies: Latencies | None = None,
    clock: Clock | None = None,
    environment: Mapping[str, str] = {},
) -> AsyncIterator[Served]:
    """A local cloud for `my-jarvis serve`; what was started is gone at the end. The first replica has PUBLIC_URL.

    `limits`, `latencies` and `clock` are the local Fly's.
    """
    token, public = "fm2_journey", f"http://{_free_address()}"
    async with AsyncExitStack() as stack:
        auth = await stack.enter_async_context(
            local_auth(
                folder / "auth",
                site_url=public,
                allow=("http://**.localhost:**/auth/callback**",),
                publishable_key="sb_publishable_j",
                secret_key="sb_secret_j",
                mirror_dsn=database.admin_dsn,
            )
        )
        fly = await stack.enter_async_context(
            local_fly(
                folder / "fly",
                token=token,
                command=["/usr/bin/env", f"JARVIS_COMMAND={app_command}", sys.executable, "-m", "golden.guard"],
                region="fra",
                limits=limits,
                latencies=latencies,
                clock=clock,
            )
        )
        settings = {
            "PUBLIC_URL": public,
            "SUPABASE_URL": auth.url,
            "SUPABASE_PUBLISHABLE_KEY": auth.publishable_key,
            "SUPABASE_SECRET_KEY": auth.secret_key,
            "DATABASE_URL": database.dsn,
            "DATABASE_POOL": "4",
            "GATEWAY_MASTER_KEYS": "j:" + base64.urlsafe_b64encode(bytes(range(32))).decode(),
            "ADMIN_TOKEN": "journey-journey-journey-journey",
            "FLY_API_URL": fly.url,
            "FLY_API_TOKEN": token,
            "MACHINES_APP_NAME": "jarvis-machines",
            "MACHINES_ISOLATION": "machine",
            "MACHINES_REGION": "fra",
            "GOLDEN_IMAGE": "registry.fly.io/jarvis-golden:journey",
            "GATEWAY_ENV": "journey",
            "LOG_FORMAT": "console",
            **environment,
        }
        cloud = Served(folder, auth, fly, settings)
        stack.push_async_callback(cloud.close)
        yield cloud


def _free_address() -> str:
    """A loopback address on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
