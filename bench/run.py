"""One run: who is measured by what, in which order, and what came of it."""

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import profile
from bench.figures import Rounds
from bench.install import Installed
from bench.peers import ALL
from bench.processes import Failed
from bench.profile import Profile
from bench.stage import Stage, staged
from bench.systems import System
from bench.targets import CHP, NGINX, Lane
from bench.workloads import BRIEF, Effort
from bench.wrk import Unreadable

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "idle": (CHP,),
    "stalled": (),
    "small GET": (NGINX, CHP),
    "churn": (CHP,),
    "download": (NGINX,),
    "upload with a length": (NGINX,),
    "upload in chunks": (NGINX,),
    "WebSocket": (NGINX,),
    "events": (NGINX,),
}
"""Workloads, and the peers that a target compares us with there: all that a quick run measures."""


class Run:
    """Measures, and keeps what it found in `rounds`, `versions` and `troubles`."""

    def __init__(
        self,
        installed: Installed,
        lanes: Sequence[Lane],
        effort: Effort,
        *,
        everybody: bool,
        only: Collection[str] = (),
    ) -> None:
        """`only`: these workloads; empty: all."""
        self._installed, self._lanes, self._effort, self._everybody = installed, lanes, effort, everybody
        self._only = frozenset(only or NEEDS)
        self.rounds = Rounds()
        self.rounds_done = 0
        self.versions: dict[str, str] = {}
        self.troubles: list[str] = []
        """What went wrong for a system in a workload, which then lacks that sample."""
        self._began = time.monotonic()

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._began

    def weigh(self) -> None:
        """Memory, on fresh processes each time: a heap that was large before hides what grows in it."""
        for number in range(self._effort.weighings):
            for workload in [name for name in ("idle", "stalled") if name in self._only]:
                _say(f"{workload} memory, {number + 1} of {self._effort.weighings}")
                with staged(self._installed, self._lanes, self._peers(workload), self._effort) as stage:
                    for system in self._turn(stage, workload, 0):
                        self._sample(stage, workload, system)

    def measure(self) -> None:
        """Everything else, in interleaved rounds."""
        wanted = [name for name in NEEDS if name in self._only - {"idle", "stalled"}]
        if not wanted:
            return
        others = ALL if self._everybody else (NGINX, CHP)
        with staged(self._installed, self._lanes, others, self._effort) as stage:
            self.versions |= {system.name: system.version for system in stage.systems if system.version}
            began = time.monotonic()
            for number in range(self._effort.rounds):
                each = (time.monotonic() - began) / max(1, number)
                if number and time.monotonic() - began + each > self._effort.budget_s:
                    _say("no time for more rounds")
                    break
                _say(f"round {number + 1} of {self._effort.rounds}")
                for workload in wanted:
                    turns = self._effort.turns if workload in BRIEF else 1
                    for turn in range(number * turns, (number + 1) * turns):
                        for system in self._turn(stage, workload, turn):
                            self._sample(stage, workload, system)
                self.rounds_done = number + 1

    def profile(self, lane: Lane) -> Profile:
        """The hot path of a lane. On a stage of its own, for looking disturbs."""
        _say(f"profile of {lane}")
        with staged(self._installed, [lane], (), self._effort) as stage:
            return _profiled(stage, self._installed.py_spy)

    def _peers(self, workload: str) -> tuple[str, ...]:
        return ALL if self._everybody else NEEDS[workload]

    def _turn(self, stage: Stage, workload: str, number: int) -> list[System]:
        """Who takes part, beginning with somebody else each time: nobody is always behind the same one."""
        wanted = {*(lane.system for lane in self._lanes), *self._peers(workload)}
        turn = [system for system in stage.systems if system.name in wanted and system.takes(workload)]
        first = number % len(turn)
        return turn[first:] + turn[:first]

    def _sample(self, stage: Stage, workload: str, system: System) -> None:
        take = stage.loads.samples.get(workload) or stage.loads.weighings[workload]
        try:
            self.rounds.add(system.name, take(system))
        except (Failed, Unreadable) as trouble:
            self.troubles.append(f"{system.name}, {workload}: {str(trouble)[:300]}")
            _say(self.troubles[-1])


def _profiled(stage: Stage, py_spy: Path) -> Profile:
    system = stage.systems[0]
    assert system.pid is not None
    with stage.loads.under_load(system, 14):
        stacks = profile.record(py_spy, system.pid, 8, stage.run / "stacks")
        libraries = profile.record_libraries(system.pid, 3, stage.run / "perf.data")
    return Profile(shares=profile.shares(stacks), rooms=profile.rooms(stacks), libraries=libraries)


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)
