"""`python -m bench full|quick|hub|lifecycle`."""

import json
import os
import platform
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Final

from bench.hub.visits import hub
from bench.install import install
from bench.lifecycle.run import lifecycle
from bench.ours import lanes
from bench.processes import Failed
from bench.report import Circumstances, notes_of, written_report
from bench.run import Run
from bench.targets import summary
from bench.workloads import FULL, QUICK

REPORT: Final = Path(__file__).parent.parent / "docs" / "performance.md"


def quick() -> None:
    """The targets only, for the fastest lane there is; the last line of stdout is one JSON object."""
    lane = lanes()[-1]
    run = Run(install(), [lane], QUICK, everybody=False)
    run.weigh()
    run.measure()
    print(json.dumps(summary(lane, run.rounds)))


def full() -> None:
    """Everybody and everything; writes docs/performance.md. BENCH_ROUNDS=2 takes ten minutes instead of twenty."""
    measured, load = lanes(), os.getloadavg()[0]
    effort = replace(FULL, rounds=int(os.environ.get("BENCH_ROUNDS", FULL.rounds)))
    run = Run(install(), measured, effort, everybody=True)
    run.weigh()
    run.measure()
    about = Circumstances(
        day=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        versions=run.versions,
        rounds=effort.rounds,
        load_before=load,
        took_s=run.took_s,
        troubles=run.troubles,
    )
    profiles = {lane: run.profile(lane) for lane in measured}
    notes = notes_of(REPORT.read_text()) if REPORT.exists() else ""
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(written_report(run.rounds, measured, about, profiles, notes))
    print(f"written: {REPORT}")


def machine() -> dict[str, str]:
    """What the figures depend on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "CPU": names[0].partition(":")[2].strip() if names else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "Linux": platform.release(),
        platform.python_implementation(): platform.python_version(),
        **{name: version(name) for name in ("aiohttp", "uvloop", "httptools")},
    }


def main() -> int:
    """Exit code 0, 1 with a reason, 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, _end)
    name, *rest = sys.argv[1:] or [""]
    what = {"full": full, "quick": quick, "hub": hub, "lifecycle": partial(lifecycle, *rest)}.get(name)
    if what is None or (rest and name != "lifecycle"):
        print("usage: python -m bench full|quick|hub|lifecycle [WHAT …]", file=sys.stderr)
        return 2
    try:
        what()
    except Failed as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


sys.exit(main())
