"""Processes of a run: started on one core, counted, ended however the run ends. Linux only."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_TICK: Final = os.sysconf("SC_CLK_TCK")
_ENDS_WITHIN_S: Final = 10.0
_LOOK_S: Final = 0.01


class Failed(Exception):
    """Something that the run needs did not start, ended early, or answered wrongly."""


def cores() -> tuple[str, str]:
    """Where the proxies run, and where everything else does, as taskset takes it. Raises Failed with only one."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2:
        raise Failed("two cores are needed: one for the proxy, one for load and upstream")
    return str(ours[0]), str(ours[-1])


class Child:
    """A process in a session of its own, on `core` ("0", or a list of some), that dies with us. A context manager."""

    def __init__(
        self, command: Sequence[str | Path], *, core: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command, self._core, self._log = [str(part) for part in command], core, log
        self._environment = environment
        self.process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def __enter__(self) -> Self:
        pinned = ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", self._core, *self._command]
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                pinned,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=dict(self._environment) if self._environment is not None else None,
                start_new_session=True,  # Ctrl-C is ours to answer; we end everybody in order
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_ENDS_WITHIN_S)
                break
        with suppress(ProcessLookupError):  # a worker that outlived its master
            os.killpg(self.pid, signal.SIGKILL)

    def line(self, begins: str) -> str:
        """The next line of its output that begins so, without that. Raises Failed if it ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(begins):
                return line.removeprefix(begins).strip()
        raise Failed(f"{self._command[0]} ended: {self.words()}")

    def hang_up(self) -> None:
        """End its standard input, which asks our own programs to go. Who does not is ended with the block."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_ENDS_WITHIN_S)

    def words(self) -> str:
        """The end of what it said on standard error."""
        return self._log.read_text(errors="replace")[-2000:]


def until(look: Callable[[], bool], *, what: str, within_s: float = 30.0) -> None:
    """Return as soon as `look` is true. Raises Failed after `within_s`."""
    deadline = time.monotonic() + within_s
    while not look():
        if time.monotonic() > deadline:
            raise Failed(f"not within {within_s:g} s: {what}")
        time.sleep(_LOOK_S)


def tool(name: str) -> str:
    """Where a program is. Raises Failed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise Failed(f"{name} is not installed")
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and all its descendants, ended and awaited ones included."""
    # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), counted behind the name, which may hold blanks
    return sum(sum(map(int, fields[11:15])) for fields in _family(pid).values()) / _TICK


def rss_kb(pid: int) -> float:
    """Resident memory of a process and all its descendants, KB."""
    total = 0.0
    for member in _family(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{member}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += float(line.split()[1])
    return total


def _family(pid: int) -> dict[int, list[str]]:
    everybody: dict[int, list[str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            everybody[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
    family: dict[int, list[str]] = {}
    found = {pid}
    while found:
        family |= {member: everybody[member] for member in found if member in everybody}
        found = {member for member, fields in everybody.items() if int(fields[1]) in found and member not in family}
    return family
