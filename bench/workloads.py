"""What is done to a system, and what is read off it: each workload is one sample of a few figures."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.figures import Figures
from bench.head import as_arguments
from bench.processes import Child, Failed, cpu_s, rss_kb, tool
from bench.systems import System, Visitor
from bench.wrk import Load, read_wrk

CONNECTIONS: Final = 64
MESSAGE_BYTES: Final = 125
GIB: Final = 1 << 30
_GB: Final = 1e9
_EVENT_MS: Final = 5
_IDLE: Final = 1600
"""WebSockets to weigh one. One visitor's Machine takes fewer, so the gateway's visitors share them."""
_SETTLED_S: Final = 1.0
_LOOK_S: Final = 0.05
_MOST_RUNS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much a sample takes."""

    rounds: int
    turns: int
    """Of requests and of messages in a round; short ones, because a shared machine changes its mood within seconds."""
    seconds: int
    """Of one run of requests or messages."""
    transfer: int
    """Bytes of one download or upload."""
    events: int
    weighings: int
    """How often memory is weighed."""
    stall_s: float
    budget_s: float
    """No further round begins that would probably end later than this after the first one began."""
    cpu_s: float
    """The proxy's least CPU time in a sample: runs are repeated until then, because /proc counts in 10 ms."""


FULL: Final = Effort(
    rounds=5, turns=3, seconds=1, transfer=GIB, events=200, weighings=2, stall_s=3.0, budget_s=690.0, cpu_s=0.8
)
QUICK: Final = Effort(
    rounds=2, turns=4, seconds=1, transfer=GIB // 2, events=150, weighings=1, stall_s=2.0, budget_s=115.0, cpu_s=0.2
)
BRIEF: Final = frozenset({"small GET", "churn", "WebSocket", "events"})
"""Workloads whose samples take a second: they are taken `turns` times a round."""


class Loads:
    """The load side: wrk and our own generator, on a core of their own."""

    def __init__(self, effort: Effort, *, load: Path, core: str, log: Path) -> None:
        self._effort, self._load, self._core, self._log = effort, load, core, log
        self._wrk = tool("wrk")
        self.samples: Mapping[str, Callable[[System], Figures]] = {
            "small GET": self.small_get,
            "churn": self.churn,
            "download": self.download,
            "upload with a length": lambda system: self.upload(system, "length"),
            "upload in chunks": lambda system: self.upload(system, "chunked"),
            "WebSocket": self.websocket,
            "events": self.events,
        }
        """To be taken in rounds, by name of the workload."""
        self.weighings: Mapping[str, Callable[[System], Figures]] = {"stalled": self.stalled, "idle": self.idle}
        """Memory, to be weighed on fresh processes."""

    def warm_up(self, system: System) -> None:
        self._wrk_run(system, "small GET", 1)

    @contextmanager
    def under_load(self, system: System, seconds: int) -> Iterator[None]:
        """Small GETs go on beside the block, for `seconds`; leaving it waits for their end."""
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(self._wrk_run, system, "small GET", seconds)
            yield
            running.result()

    def small_get(self, system: System) -> Figures:
        runs, cpu = self._until_enough(system, lambda: self._wrk_run(system, "small GET", self._effort.seconds))
        requests = sum(run.requests for run in runs)
        rate = {"req_s": requests / sum(run.seconds for run in runs), "p99_ms": median(run.p99_ms for run in runs)}
        return rate if cpu is None else {**rate, "get_cpu_us": cpu / requests * 1e6, "get_sample_cpu_s": cpu}

    def churn(self, system: System) -> Figures:
        """A connection for each request."""
        return {"churn_s": self._wrk_run(system, "churn", self._effort.seconds, "-H", "Connection: close").per_second}

    def download(self, system: System) -> Figures:
        return self._transfer(system, "download", "down", "down", str(self._effort.transfer))

    def upload(self, system: System, framing: str) -> Figures:
        name = "upload with a length" if framing == "length" else "upload in chunks"
        return self._transfer(system, name, f"up_{framing}", "up", str(self._effort.transfer), framing)

    def websocket(self, system: System) -> Figures:
        size, seconds = str(MESSAGE_BYTES), str(self._effort.seconds)
        runs, cpu = self._until_enough(
            system, lambda: self._own(system, "WebSocket", "ws", str(CONNECTIONS), seconds, size)
        )
        messages = sum(run["messages"] for run in runs)
        rate = {"ws_s": messages / sum(run["seconds"] for run in runs)}
        return rate if cpu is None else {**rate, "ws_cpu_us": cpu / messages * 1e6}

    def events(self, system: System) -> Figures:
        run = self._own(system, "events", "events", str(self._effort.events), str(_EVENT_MS))
        return {"sse_p50_us": run["p50_us"], "sse_p99_us": run["p99_us"]}

    def idle(self, system: System) -> Figures:
        """Memory of a WebSocket on which nothing happens."""
        if system.pid is None:
            return {}
        share = _IDLE // len(system.visitors)
        before = rss_kb(system.pid)
        with ExitStack() as stack:
            for visitor in system.visitors:
                stack.enter_context(self._child(system, visitor, "idle", str(share))).line("READY")
            time.sleep(_SETTLED_S)
            grown = rss_kb(system.pid) - before
        return {"ws_idle_kb": grown / (share * len(system.visitors)), "rss_mb": before / 1024}

    def stalled(self, system: System) -> Figures:
        """Memory that grows when the client does not read 1 GiB, or the upstream does not: the worse of both."""
        if system.pid is None:
            return {}
        before = worst = rss_kb(system.pid)
        for how in ("no-read", "no-take"):
            with self._child(system, system.visitors[0], how, str(GIB)) as child:
                child.line("READY")
                deadline = time.monotonic() + self._effort.stall_s
                while time.monotonic() < deadline:
                    worst = max(worst, rss_kb(system.pid))
                    time.sleep(_LOOK_S)
        return {"stalled_mb": (worst - before) / 1024}

    def _transfer(self, system: System, workload: str, figure: str, *arguments: str) -> Figures:
        runs, cpu = self._until_enough(system, lambda: self._own(system, workload, *arguments))
        size = sum(run["bytes"] for run in runs) / _GB
        rate = {f"{figure}_gb_s": size / sum(run["seconds"] for run in runs)}
        return rate if cpu is None else {**rate, f"{figure}_cpu_s_gb": cpu / size}

    def _until_enough(self, system: System, run: Callable[[], Any]) -> tuple[list[Any], float | None]:
        """Runs until the proxy has used enough CPU to tell, and how much that was. One run without a proxy."""
        if system.pid is None:
            return [run()], None
        runs: list[Any] = []
        before, used = cpu_s(system.pid), 0.0
        while used < self._effort.cpu_s and len(runs) < _MOST_RUNS:
            runs.append(run())
            used = cpu_s(system.pid) - before
        return runs, used

    def _wrk_run(self, system: System, workload: str, seconds: int, *more: str) -> Load:
        url = f"http://127.0.0.1:{system.port_for(workload)}/"
        command = [self._wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "10s", *more]
        return read_wrk(self._said([*command, *as_arguments(system.visitors[0].lines), url]))

    def _own(self, system: System, workload: str, what: str, *arguments: str) -> dict[str, float]:
        port, head = system.port_for(workload), system.visitors[0].file
        read: dict[str, float] = json.loads(self._said([str(self._load), what, str(port), str(head), *arguments]))
        return read

    def _said(self, command: list[str]) -> str:
        pinned = ["taskset", "--cpu-list", self._core, *command]
        done = subprocess.run(pinned, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise Failed(f"{' '.join(command[:3])}: {done.stderr[-500:]}{done.stdout[-500:]}")
        return done.stdout

    def _child(self, system: System, visitor: Visitor, what: str, *arguments: str) -> Child:
        command: list[str | Path] = [self._load, what, str(system.port), visitor.file, *arguments]
        return Child(command, core=self._core, log=self._log)
