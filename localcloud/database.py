"""A whole Postgres in one folder, with what a hosted Supabase project has before our first migration.

Only binaries come from a package (`localcloud.binaries`); the server is our own child (`localcloud.postmaster`).
"""

import asyncio
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

import asyncpg

from localcloud import binaries, postmaster
from localcloud.binaries import NoPostgres
from localcloud.postmaster import SUPERUSER, ServerFailed

__all__ = ["DataDirInUse", "Database", "NoPostgres", "ServerFailed", "embedded_postgres"]

_START_S: Final = 30.0  # after a crash Postgres first replays its log; a slow laptop disk takes its time
_POLL_S: Final = 0.01
_LOGINS: Final = ("gateway", "postgres", "authenticator", SUPERUSER)
_CARELESS: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class DataDirInUse(Exception):
    """Another process runs a database in this folder. `pid` is its process id, None if it did not say."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        super().__init__(f"{data_dir} is in use by {f'process {pid}' if pid else 'another process'}")
        self.data_dir, self.pid = data_dir, pid


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """How to reach the database `postgres` in each role. All hold passwords, so none is shown."""

    dsn: str = field(repr=False)
    """As `gateway`, a plain login that RLS binds: what the product uses."""
    owner_dsn: str = field(repr=False)
    """As `postgres`, with no more rights than the hosted one: what applies the migrations."""
    data_api_dsn: str = field(repr=False)
    """As `authenticator`, who may become anon, authenticated or service_role, as Supabase's Data API does."""
    admin_dsn: str = field(repr=False)
    """As the superuser, for whom nothing is forbidden: for the local Auth server and for tests."""


@asynccontextmanager
async def embedded_postgres(data_dir: Path, *, port: int = 0, durable: bool = True) -> AsyncIterator[Database]:
    """A running Postgres whose data live in `data_dir`, made on first use, stopped when the context ends.

    The passwords, and with `port` 0 also the port while it is free, stay the same over restarts. If this process is
    killed, the server stops too. `durable=False` may lose data when the *computer* crashes, and is quick.

    Raises:
        NoPostgres: no binaries on this machine.
        DataDirInUse: another process runs on `data_dir`.
        ServerFailed: Postgres does not start; its whole log is `data_dir`/server.log.
    """
    data_dir = data_dir.absolute()  # noqa: ASYNC240  here and below: a few small files, before anybody is served
    data_dir.mkdir(parents=True, exist_ok=True)
    with _only_one(data_dir):
        runs_as = binaries.account()
        found = binaries.find(runs_as)
        cluster, marker = data_dir / "cluster", data_dir / "bootstrapped"
        await postmaster.clear(cluster)
        if not marker.exists():
            # Cut off before it was ever usable: nothing of anybody's is in there.
            shutil.rmtree(cluster, ignore_errors=True)
        passwords = _passwords(data_dir / "passwords.json", new=not cluster.exists())
        if not cluster.exists():
            await asyncio.to_thread(postmaster.make, found, cluster, runs_as, password=passwords[SUPERUSER])

        def launch(at: int) -> "subprocess.Popen[bytes]":
            settings = () if durable else _CARELESS
            with (data_dir / "server.log").open("wb") as log:  # one start's log: it must not grow for ever
                return postmaster.launch(found, cluster, runs_as, port=at, settings=settings, log=log)

        async with _answering(launch, data_dir, port, passwords[SUPERUSER]) as chosen:
            dsn = {login: _dsn(login, passwords[login], chosen) for login in _LOGINS}
            await _bootstrap(dsn[SUPERUSER], marker, passwords)
            yield Database(
                dsn=dsn["gateway"],
                owner_dsn=dsn["postgres"],
                data_api_dsn=dsn["authenticator"],
                admin_dsn=dsn[SUPERUSER],
            )


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with this process however that ends. Raises DataDirInUse."""
    with (data_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise DataDirInUse(data_dir, int(holder) if holder.isdigit() else None) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _passwords(file: Path, *, new: bool) -> dict[str, str]:
    """Each login's password; made anew with a new cluster, since only a cluster knows which are valid."""
    if new:
        passwords = {login: secrets.token_hex(16) for login in _LOGINS}
        file.unlink(missing_ok=True)
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(json.dumps(passwords))
        return passwords
    try:
        return {login: str(password) for login, password in json.loads(file.read_text()).items()}
    except (OSError, ValueError) as lost:
        raise ServerFailed(f"{file} does not give the passwords of the cluster beside it: {lost}") from lost


def _dsn(login: str, password: str, port: int) -> str:
    # No TLS on loopback; to say so saves the question to the server at each connect.
    return f"postgresql://{login}:{password}@127.0.0.1:{port}/postgres?sslmode=disable"


@asynccontextmanager
async def _answering(
    launch: Callable[[int], "subprocess.Popen[bytes]"], data_dir: Path, port: int, password: str
) -> AsyncIterator[int]:
    """A server that answers, and the port where. Starts again where a moment's wait or another port may help."""
    remembered = data_dir / "port"
    chosen = port or _free_port(remembered)
    deadline = asyncio.get_running_loop().time() + _START_S
    while True:
        server = launch(chosen)
        try:
            if await _answers(server, _dsn(SUPERUSER, password, chosen), deadline):
                remembered.write_text(str(chosen))
                yield chosen
                return
        finally:
            await postmaster.stop(server)
        words = postmaster.last_words(data_dir / "server.log")
        in_time = asyncio.get_running_loop().time() < deadline
        if in_time and port == 0 and postmaster.port_taken(words):
            chosen = _free_port(None)
        elif in_time and postmaster.may_pass(words):
            await asyncio.sleep(_POLL_S)
        else:
            raise ServerFailed(f"Postgres did not start on port {chosen}: {words}")


async def _answers(server: "subprocess.Popen[bytes]", dsn: str, deadline: float) -> bool:
    """True as soon as `server` lets us in, False if it ended or let `deadline` pass."""
    while server.poll() is None and asyncio.get_running_loop().time() < deadline:
        try:
            connection = await asyncpg.connect(dsn, timeout=2)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(_POLL_S)
        except asyncpg.InvalidPasswordError:
            # Somebody else's Postgres has this port; ours is about to end because of it.
            await asyncio.sleep(_POLL_S)
        else:
            await connection.close()
            return True
    return False


def _free_port(remembered: Path | None) -> int:
    """The port of last time if nobody has it now, else any free one. May be taken again before we use it."""
    if remembered is not None and remembered.exists():
        with socket.socket() as probe, suppress(OSError, ValueError, OverflowError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", int(remembered.read_text())))
            return int(remembered.read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _bootstrap(admin_dsn: str, marker: Path, passwords: Mapping[str, str]) -> None:
    """Make Supabase's roles and schema `auth`, unless this very text was applied before."""
    text = files("localcloud").joinpath("bootstrap.sql").read_text()
    version = hashlib.sha256(text.encode()).hexdigest()
    if marker.exists() and marker.read_text() == version:  # noqa: ASYNC240
        return
    connection = await asyncpg.connect(admin_dsn)
    try:
        async with connection.transaction():
            await connection.execute(text)
            for login, password in passwords.items():
                await connection.execute(f"alter role {login} password '{password}'")
    finally:
        await connection.close()
    marker.write_text(version)  # noqa: ASYNC240
