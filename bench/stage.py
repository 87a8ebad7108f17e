"""Everybody on stage: gateway and peers started, checked, and gone again however the block ends."""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.install import PLACE, Installed
from bench.ours import gateways
from bench.peers import peers
from bench.processes import Failed, cores
from bench.systems import System
from bench.targets import Lane
from bench.workloads import Effort, Loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everybody up, answering, and warmed up."""

    systems: Sequence[System]
    loads: Loads
    run: Path
    """A folder for this stage's files."""


@contextmanager
def staged(installed: Installed, lanes: Sequence[Lane], others: Sequence[str], effort: Effort) -> Iterator[Stage]:
    """A gateway for each lane, and peers by name, for the block. Raises Failed, and then keeps the logs."""
    usual = os.sched_getaffinity(0)
    core, load_core = cores()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    run = Path(tempfile.mkdtemp(prefix="run-", dir=PLACE))
    run.chmod(0o755)  # Postgres and nginx leave root behind, and have their folders in here
    kept = False
    try:
        os.sched_setaffinity(0, {int(load_core)})
        with ExitStack() as stack:
            ours = stack.enter_context(gateways(lanes, installed, run, core=core, load_core=load_core))
            theirs = stack.enter_context(peers(others, installed, run, core=core, load_core=load_core))
            loads = Loads(effort, load=installed.load, core=load_core, log=run / "load.log")
            for system in [*ours, *theirs]:
                loads.warm_up(system)
            yield Stage(systems=[*ours, *theirs], loads=loads, run=run)
    except Failed:
        kept = True
        print(f"bench: the logs are in {run}", file=sys.stderr)
        raise
    finally:
        os.sched_setaffinity(0, usual)
        if not kept:
            shutil.rmtree(run, ignore_errors=True)
