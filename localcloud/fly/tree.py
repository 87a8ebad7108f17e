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
from pathlib import Path

_PROC = Path("/proc")


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

    def send(self, number: signal.Signals) -> None:
        """Signal every member. Asks again while there are new ones: a process may fork while we look."""
        reached: set[int] = set()
        while fresh := [pid for pid in self.members() if pid not in reached]:
            for pid in fresh:
                reached.add(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)


def _table() -> Iterator[tuple[int, int, int, int]]:
    """(pid, parent, group, session) of every living process that is not a zombie."""
    if _PROC.joinpath("self", "stat").exists():
        for entry in _PROC.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    # the name is in parentheses and may itself contain some
                    fields = entry.joinpath("stat").read_text().rpartition(")")[2].split()
                    if fields[0] not in ("Z", "X"):
                        yield int(entry.name), int(fields[1]), int(fields[2]), int(fields[3])
        return
    listing = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid=,pgid="], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        pid, parent, group = (int(field) for field in line.split())
        yield pid, parent, group, group


def _is_marked(pid: int, marks: tuple[str, ...]) -> bool:
    try:
        entries = _PROC.joinpath(str(pid), "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(mark.encode() in entries for mark in marks)


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
