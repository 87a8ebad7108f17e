"""One run: everybody started, warmed up and checked, measured in turns, ended."""

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.figures import Rounds
from bench.install import PLACE, Installed
from bench.ours import gateways
from bench.peers import peers
from bench.processes import Failed, cores
from bench.systems import System
from bench.targets import Lane
from bench.workloads import Effort, Loads
from bench.wrk import Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run found."""

    rounds: Rounds
    versions: Mapping[str, str]
    lanes: Sequence[Lane]
    effort: Effort
    took_s: float
    troubles: Sequence[str]
    """What went wrong for a system in a workload, which then lacks that sample."""
    profiles: Mapping[Lane, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everybody up and answering."""

    systems: Sequence[System]
    loads: Loads
    run: Path


NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "small GET": frozenset({"nginx", "configurable-http-proxy"}),
    "churn": frozenset({"configurable-http-proxy"}),
    "download": frozenset({"nginx"}),
    "upload with a length": frozenset({"nginx"}),
    "upload in chunks": frozenset({"nginx"}),
    "WebSocket": frozenset({"nginx"}),
    "events": frozenset({"nginx"}),
    "stalled": frozenset(),
    "idle": frozenset({"configurable-http-proxy"}),
}
"""The peers that a workload is compared with: all that a quick run measures."""


@contextmanager
def staged(installed: Installed, lanes: Sequence[Lane], others: Sequence[str], effort: Effort) -> Iterator[Stage]:
    """Gateway and peers for the block. Nothing of them is left after it, however it ends."""
    core, load_core = cores()
    os.sched_setaffinity(0, {load_core})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    run = Path(tempfile.mkdtemp(prefix="run-", dir=PLACE))
    run.chmod(0o755)  # Postgres and nginx leave root behind, and have their folders in here
    try:
        with ExitStack() as stack:
            ours = stack.enter_context(gateways(lanes, installed, run, core=core, load_core=load_core))
            theirs = stack.enter_context(peers(others, installed, run, core=core, load_core=load_core))
            loads = Loads(effort, load=installed.load, core=load_core, log=run / "load.log")
            yield Stage(systems=[*ours, *theirs], loads=loads, run=run)
    except Failed:
        _say(f"the logs are in {run}")
        raise
    else:
        shutil.rmtree(run, ignore_errors=True)


def measure(stage: Stage, lanes: Sequence[Lane], effort: Effort, *, everybody: bool) -> Result:
    """Every workload on all systems, or on those alone that a target names, in interleaved rounds."""
    began = time.monotonic()
    rounds, troubles, ours = Rounds(), list[str](), {lane.system for lane in lanes}
    for system in stage.systems:
        stage.loads.warm_up(system)

    def sample(workload: str, system: System) -> None:
        take = stage.loads.samples.get(workload) or stage.loads.weighings[workload]
        try:
            rounds.add(system.name, take(system))
        except (Failed, Unreadable) as trouble:
            troubles.append(f"{system.name}, {workload}: {str(trouble)[:300]}")
            _say(troubles[-1])

    def chosen(workload: str) -> list[System]:
        wanted = [system for system in stage.systems if system.takes(workload)]
        return wanted if everybody else [s for s in wanted if s.name in ours | NEEDS[workload]]

    for workload in stage.loads.weighings:
        for system in chosen(workload):
            sample(workload, system)
    for number in range(effort.rounds):
        _say(f"round {number + 1} of {effort.rounds}")
        for workload in stage.loads.samples:
            turn = chosen(workload)
            turn = turn[number % len(turn) :] + turn[: number % len(turn)]  # nobody is always behind the same one
            for system in turn:
                sample(workload, system)
    return Result(
        rounds=rounds,
        versions={system.name: system.version for system in stage.systems if system.version},
        lanes=lanes,
        effort=effort,
        took_s=time.monotonic() - began,
        troubles=troubles,
    )


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)
