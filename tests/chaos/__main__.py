"""`make chaos`: everything; `python -m tests.chaos --only NAME …`: some kinds of trouble and points."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.lifecycle.page import PAGE, shown
from gateway.failpoints import every_point
from tests.chaos.report import written
from tests.chaos.run import Plan, Result, run
from tests.chaos.stage import POOL
from tests.chaos.troubles import TROUBLES
from tests.parts.postgres import postgres_server

SPARES: Final = "spares."
WITH_SPARES: Final = ("none", "429", "lost answer after success", "gateways killed")
"""Trouble that strikes once more where a pool is kept."""


async def chaos(plan: Plan, folder: Path) -> Result:
    """Two worlds, one without a pool and one with; in the second die those who come by the pool's own points."""
    points = every_point() if plan.points is None else plan.points
    ours = [point for point in points if point.startswith(SPARES)]
    wave = [f for f in WITH_SPARES if f in plan.troubles] if ours else []
    async with postgres_server() as server:
        async with server.fresh() as database:
            rest = [point for point in points if point not in ours]
            result = await run(replace(plan, points=rest), folder / "direct", database)
        if ours:
            async with server.fresh() as database:
                with_pool = replace(plan, points=ours, troubles=wave)
                spares = await run(with_pool, folder / "pool", database, **POOL)
            for outcome in spares.waves:
                outcome.name += ", with a pool"
            result.add(spares)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--people", type=int, default=8, help="in each wave")
    parser.add_argument("--only", nargs="*", help="names of troubles and points; all others are left out")
    parser.add_argument("--folder", type=Path, help="where logs and disks go; a temporary folder, kept after findings")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reliability.md")
    given = parser.parse_args()
    plan = Plan(seed=given.seed, people=given.people)
    if given.only is not None:
        troubles = [name for name in given.only if name in TROUBLES]
        points = [name for name in given.only if name not in TROUBLES]
        plan = Plan(seed=given.seed, people=given.people, troubles=troubles, points=points)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="jarvis-chaos-"))
    result = asyncio.run(chaos(plan, folder))
    report = written(result, day=datetime.now(UTC).date().isoformat())
    print(report)
    if given.write:
        PAGE.write_text(shown(PAGE.read_text("utf-8"), "chaos", report), "utf-8")
    if result.findings:
        print(f"logs: {folder}", file=sys.stderr)
    elif given.folder is None:
        shutil.rmtree(folder)
    return 1 if result.findings else 0


sys.exit(main())
