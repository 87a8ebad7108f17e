"""Where the time of a hot path goes, as py-spy saw it: stacks in, a short table out."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import Failed

_RATE: Final = 500
_OURS: Final = ("gateway/", "provisioner/")


@dataclass(frozen=True, slots=True)
class Share:
    """A function's part of all samples, 0 to 1."""

    function: str
    own: float
    """Seen at the top of the stack: its own work, and that of C code it calls."""
    total: float
    """Seen anywhere: with everything it calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is shown of one."""

    shares: Sequence[Share]
    rooms: Sequence[tuple[str, float]]
    libraries: Sequence[tuple[str, float]] = ()


def record(py_spy: Path, pid: int, seconds: int, into: Path) -> str:
    """Collapsed stacks of a process that is under load now. Raises Failed."""
    command = [py_spy, "record", "--pid", pid, "--duration", seconds, "--rate", _RATE, "--nonblocking"]
    command += ["--format", "raw", "--output", into]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode or not into.exists():
        raise Failed(f"py-spy: {done.stderr[-500:]}")
    return into.read_text()


def record_libraries(pid: int, seconds: int, into: Path) -> list[tuple[str, float]]:
    """Parts by shared library, the kernel among them, as perf sees them; empty where perf may not look."""
    perf = shutil.which("perf")
    if perf is None:
        return []
    command = [perf, "record", "--quiet", "--pid", str(pid), "--output", str(into), "--", "sleep", str(seconds)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        return []
    command = [perf, "report", "--input", str(into), "--sort", "dso", "--stdio"]
    return libraries(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def libraries(report: str) -> list[tuple[str, float]]:
    """The rows of `perf report --sort dso`: name and part, the largest first."""
    rows = [line.split() for line in report.splitlines() if "%" in line and not line.startswith("#")]
    return [(row[1].split(".cpython")[0], float(row[0].rstrip("%")) / 100) for row in rows if len(row) == 2]


def shares(stacks: str) -> list[Share]:
    """Every function of collapsed stacks (`outer;inner count` a line), the largest own part first."""
    own, total, samples = Counter[str](), Counter[str](), 0
    for frames, count in _stacks(stacks):
        samples += count
        own[frames[-1]] += count
        for frame in set(frames):
            total[frame] += count
    found = [Share(name, own[name] / samples, total[name] / samples) for name in total]
    return sorted(found, key=lambda share: (-share.own, -share.total, share.function))


def rooms(stacks: str) -> list[tuple[str, float]]:
    """Parts of all samples by whose module works: of ours two folders deep, of others the package. Largest first."""
    own, samples = Counter[str](), 0
    for frames, count in _stacks(stacks):
        samples += count
        own[_room(frames[-1])] += count
    return [(room, count / samples) for room, count in own.most_common()]


def _stacks(text: str) -> Iterator[tuple[list[str], int]]:
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_without_line(frame) for frame in stack.split(";") if frame and not frame.startswith("process ")]
        if frames and count.isdigit():
            yield frames, int(count)


def _without_line(frame: str) -> str:
    """`take (gateway/proxy/answering.py:88)` → `take (gateway/proxy/answering.py)`: one function is one row."""
    head, colon, line = frame.rpartition(":")
    return f"{head})" if colon and line.rstrip(")").isdigit() else frame


def _room(frame: str) -> str:
    path = frame.rpartition("(")[2].rstrip(")")
    if path.startswith(_OURS):
        return "/".join(path.split("/")[:2])
    return path.split("/")[0].removesuffix(".py")
