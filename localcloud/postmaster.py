"""One Postgres server as our own child process: made, launched, stopped, and cleared away after a crash.

For Linux and macOS; on Windows it runs inside WSL.
"""

import asyncio
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from localcloud.binaries import Account, Binaries, open_to_all

SUPERUSER: Final = "supabase_admin"

_FAST_STOP_S: Final = 10.0
_POLL_S: Final = 0.01
_PR_SET_PDEATHSIG: Final = 1
_LINUX: Final = Path("/proc/self/cwd").is_symlink()
_libc = ctypes.CDLL(None) if _LINUX else None
_watchers: Final[dict[int, "subprocess.Popen[bytes]"]] = {}


class ServerFailed(Exception):
    """Postgres could not be made or started. The message ends with Postgres's own last words."""


def make(binaries: Binaries, cluster: Path, runs_as: Account | None, *, password: str) -> None:
    """Make a new, empty cluster in `cluster`; `password` is its superuser's. Raises ServerFailed."""
    cluster.mkdir(mode=0o700)
    # The same collation on every machine, and none that changes with its libraries.
    locale = ["--locale=C"]
    if binaries.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    # The password goes in by a file that has no name, so that no crash leaves it lying about.
    with tempfile.TemporaryFile() as secret:
        secret.write(password.encode() + b"\n")
        secret.seek(0)
        if runs_as is not None:
            os.chown(cluster, runs_as.uid, runs_as.gid)
            os.fchown(secret.fileno(), runs_as.uid, runs_as.gid)
        options = ["-U", SUPERUSER, "-E", "UTF8", *locale, "-A", "scram-sha-256", "--pwfile=/dev/stdin", "--no-sync"]
        made = subprocess.run(
            [binaries.initdb, "-D", _name(cluster, runs_as), *options],
            check=False,
            stdin=secret,
            capture_output=True,
            text=True,
            errors="replace",
            **_as(runs_as, cluster),
        )
    if made.returncode != 0:
        shutil.rmtree(cluster)
        raise ServerFailed(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")


def launch(
    binaries: Binaries, cluster: Path, runs_as: Account | None, *, port: int, settings: Sequence[str], log: IO[bytes]
) -> "subprocess.Popen[bytes]":
    """Start Postgres on `cluster`; it does not answer yet. It stops by itself when this thread's process dies.

    Linux counts the death of the calling *thread*, so call this from one that lives as long as the server should.
    """
    options = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", *settings]
    server = subprocess.Popen(
        [binaries.postgres, "-D", _name(cluster, runs_as), *(part for option in options for part in ("-c", option))],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # A session of its own: Ctrl-C at the terminal is for us, and we then stop it in good order.
        start_new_session=True,
        preexec_fn=_die_with(os.getpid()) if _libc is not None else None,
        **_as(runs_as, cluster),
    )
    if _libc is None:
        _watch(server.pid)
    return server


async def stop(server: "subprocess.Popen[bytes]") -> None:
    """Fast stop (SIGINT: clients are dropped, data are flushed); if that hangs or we are cancelled, SIGQUIT."""
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(_FAST_STOP_S):
            while server.poll() is None:  # noqa: ASYNC110  no event: a process is asked
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        pass
    finally:
        if server.poll() is None:  # loses nothing: the next start replays the log
            server.send_signal(signal.SIGQUIT)
            server.wait()
        watcher = _watchers.pop(server.pid, None)
        if watcher is not None:  # before anybody else can get the number that it watches
            watcher.kill()
            watcher.communicate()


async def clear(cluster: Path) -> None:
    """Make way for a new start after a crash. Only for the holder of the folder's lock.

    A server that outlived its killed owner is stopped. A `postmaster.pid` whose number now belongs to a stranger is
    removed, the stranger left alone. One whose process is dead is left for Postgres to judge.
    """
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    for polite in (signal.SIGINT, signal.SIGQUIT):
        if not _serves(pid, cluster):
            break
        os.kill(pid, polite)
        try:
            async with asyncio.timeout(_FAST_STOP_S):
                while _serves(pid, cluster):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            continue
    if _alive(pid) and not _serves(pid, cluster):
        pid_file.unlink(missing_ok=True)


def last_words(log: Path) -> str:
    """The end of Postgres's log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])


def may_pass(words: str) -> bool:
    """Whether a start that failed with these `last_words` may succeed a moment later.

    So it is while the backends of a killed server are still on their way out.
    """
    return re.search("still in use|lock file .* already exists", words) is not None


def port_taken(words: str) -> bool:
    """Whether a start failed because somebody else listens on the port."""
    return "Address already in use" in words


def _name(cluster: Path, runs_as: Account | None) -> str:
    """How to name `cluster` to Postgres, which runs with it as its working directory.

    As another user Postgres may not be allowed to walk there (think of a 0700 home). It need not: we enter while
    still root, and `/proc/self/cwd` is that very folder without any walking. So the data lie where they were asked
    for, and no folder above is opened to strangers. Postgres 15 wants to walk all the same, and fails.
    """
    walks = runs_as is None or not _LINUX or open_to_all(cluster.parent)
    return str(cluster) if walks else "/proc/self/cwd"


def _as(runs_as: Account | None, cluster: Path) -> dict[str, Any]:
    """What initdb and postgres are run with: folder, user, and nothing of our environment that they would heed."""
    heeded = ("PG", "LC_", "LANG")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(heeded)}
    process: dict[str, Any] = {"cwd": cluster, "env": {**environment, "LC_ALL": "C", "TZ": "UTC"}}
    if runs_as is not None:
        process |= {"user": runs_as.uid, "group": runs_as.gid, "extra_groups": []}
    return process


def _die_with(parent: int) -> Any:
    """For the child between fork and exec, after its change of user: SIGINT me when `parent` is gone."""

    def ask_the_kernel() -> None:
        assert _libc is not None  # noqa: S101  for the type checker
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_the_kernel


def _watch(pid: int) -> None:
    """Where the kernel cannot do it (macOS): a tiny process that stops `pid` when the pipe from us breaks."""
    watch = "import os, sys; sys.stdin.buffer.read(); os.kill(int(sys.argv[1]), 2)"
    _watchers[pid] = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", watch, str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(pid: int, cluster: Path) -> bool:
    """Whether process `pid` is a Postgres that works in `cluster`. A zombie is not."""
    if _LINUX:
        try:
            at_home = Path(f"/proc/{pid}/cwd").readlink() == cluster.resolve()
            return at_home and Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
        except OSError:
            return False
    told = subprocess.run(["/bin/ps", "-p", str(pid), "-o", "command="], check=False, capture_output=True, text=True)
    return "postgres" in told.stdout and str(cluster) in told.stdout
