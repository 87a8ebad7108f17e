"""All processes of a Machine, found by what marks them, so that none survives it.

Run as a script it is the watchdog: it reads what to watch from its standard input and, when that closes because the
stand-in died by whatever means, kills everything still watched. It starts fast: standard library only.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_PROC = "/proc"
_HAS_PROC = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Tree:
    """A main process, leader of its own session, and environment entries that its children inherit.

    The entries find those who left group and session behind, as daemons do. They must be this Machine's alone.
    """

    leader: int
    marks: tuple[str, ...]

    def members(self) -> list[int]:
        """Living processes, the leader first: by group, session, descent or mark."""
        table = list(_table())
        found = {pid for pid, _, group, session in table if self.leader in (pid, group, session)}
        found |= {pid for pid, *_ in table if pid not in found and _is_marked(pid, self.marks)}
        grew = True
        while grew:
            children = {pid for pid, parent, *_ in table if parent in found} - found
            found |= children
            grew = bool(children)
        found.discard(os.getpid())
        return sorted(found, key=lambda pid: (pid != self.leader, pid))

    def send(self, number: signal.Signals) -> set[int]:
        """Signal every member; who that was. Asks again while there are new ones: a process may fork while we look."""
        reached: set[int] = set()
        while fresh := [pid for pid in self.members() if pid not in reached]:
            for pid in fresh:
                reached.add(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        return reached


def _table() -> Iterator[tuple[int, int, int, int]]:
    """(pid, parent, group, session) of every living process that is not a zombie."""
    if _HAS_PROC:
        for name in os.listdir(_PROC):  # noqa: PTH208  a tenth of the time, and a wake waits for it
            # the program's name is in parentheses and may itself contain some
            fields = _read(f"{_PROC}/{name}/stat").rpartition(b")")[2].split() if name.isdigit() else []
            if fields and fields[0] not in (b"Z", b"X"):
                yield int(name), int(fields[1]), int(fields[2]), int(fields[3])
        return
    listing = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid=,pgid="], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        pid, parent, group = (int(field) for field in line.split())
        yield pid, parent, group, group


def _is_marked(pid: int, marks: tuple[str, ...]) -> bool:
    environment = b"\0" + _read(f"{_PROC}/{pid}/environ") if _HAS_PROC else b""
    return any(b"\0%b\0" % mark.encode() in environment for mark in marks)


def _read(path: str) -> bytes:
    """A file of /proc, which is gone together with its process."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        whole = b""
        while chunk := os.read(descriptor, 1 << 16):
            whole += chunk
        return whole
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def watch(lines: Iterable[str]) -> None:
    """Keep a set of Trees by lines `{"leader", "marks", "watch": bool}`; at the end kill what is left."""
    watched: dict[int, Tree] = {}
    for line in lines:
        message = json.loads(line)
        if message["watch"]:
            watched[message["leader"]] = Tree(message["leader"], tuple(message["marks"]))
        else:
            watched.pop(message["leader"], None)
    for tree in watched.values():
        tree.send(signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin)
