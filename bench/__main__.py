"""`python -m bench full|quick|hub|lifecycle`, with `--only WORKLOADS` for full."""

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Final

from bench.guard import guard_figures
from bench.hub.visits import hub
from bench.install import PLACE, install
from bench.kept import Kept
from bench.lifecycle.run import lifecycle
from bench.ours import lanes
from bench.processes import Failed
from bench.report import Circumstances, notes_of, written_report
from bench.run import NEEDS, Run
from bench.targets import summary
from bench.workloads import FULL, QUICK

REPORT: Final = Path(__file__).parent.parent / "docs" / "performance.md"
KEPT: Final = PLACE / "kept.json"
PIECES: Final = (*NEEDS, "guard", "profiles")


def quick() -> None:
    """The targets only, for the fastest lane there is; the last line of stdout is one JSON object."""
    lane = lanes()[-1]
    run = Run(install(), [lane], QUICK, everybody=False)
    run.weigh()
    run.measure()
    print(json.dumps(summary(lane, run.rounds)))


def full(only: Sequence[str]) -> None:
    """Everybody and everything, or `only` some of it; writes docs/performance.md. BENCH_ROUNDS sets their number."""
    measured, load = lanes(), os.getloadavg()[0]
    effort = replace(FULL, rounds=int(os.environ.get("BENCH_ROUNDS", FULL.rounds)))
    run = Run(install(), measured, effort, everybody=True, only=[name for name in only if name in NEEDS])
    found = Kept(pieces=1, load_before=load)
    if not only or set(only) & set(NEEDS):
        run.weigh()
        run.measure()
    if not only or "guard" in only:
        found.guard = guard_figures()
    if not only or "profiles" in only:
        found.profiles = {lane: run.profile(lane) for lane in measured}
    found.rounds, found.versions, found.troubles = run.rounds, run.versions, run.troubles
    found.rounds_done, found.took_s = run.rounds_done, run.took_s
    kept = Kept.read(KEPT) if only else Kept()
    kept.add(found)
    kept.write(KEPT)
    about = Circumstances(
        day=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        versions=kept.versions,
        rounds=kept.rounds_done,
        load_before=kept.load_before,
        took_s=kept.took_s,
        troubles=kept.troubles,
        pieces=kept.pieces,
    )
    notes = notes_of(REPORT.read_text()) if REPORT.exists() else ""
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(written_report(kept.rounds, measured, about, kept.profiles, notes, kept.guard))
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
    arguments = argparse.ArgumentParser(prog="python -m bench")
    arguments.add_argument("what", choices=("full", "quick", "hub", "lifecycle"))
    arguments.add_argument("parts", nargs="*", metavar="PART", help="with lifecycle: what of it; all without")
    arguments.add_argument("--only", default="", help=f"with full: some of {', '.join(PIECES)}; joined by commas")
    asked = arguments.parse_args()
    only = [name.strip() for name in asked.only.split(",") if name.strip()]
    if unknown := sorted(set(only) - set(PIECES)):
        arguments.error(f"--only knows no {', '.join(unknown)}; it knows {', '.join(PIECES)}")
    if (only and asked.what != "full") or (asked.parts and asked.what != "lifecycle"):
        arguments.error("--only goes with full, and parts with lifecycle")
    what: dict[str, Callable[[], None]] = {
        "full": partial(full, only),
        "quick": quick,
        "hub": hub,
        "lifecycle": partial(lifecycle, *asked.parts),
    }
    try:
        what[asked.what]()
    except Failed as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


sys.exit(main())
