"""One run of `make bench-lifecycle`."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from bench.lifecycle import measure
from bench.lifecycle.figures import TITLES, Times, summary, table
from bench.lifecycle.page import PAGE, shown
from bench.lifecycle.stage import BOOT_S, RESUME_S, staged
from bench.processes import Failed, cores


def lifecycle(*only: str) -> None:
    """Print the table and, last, one line of JSON; a whole run also writes docs/reliability.md."""
    unknown = set(only) - set(TITLES)
    if unknown:
        raise Failed(f"{', '.join(unknown)}: there are {', '.join(TITLES)}")
    folder = Path(tempfile.mkdtemp(prefix="bench-lifecycle-"))
    folder.chmod(0o755)  # as root, Postgres is run by somebody else, who has to walk here
    measured = uvloop.run(_measured(folder, set(only or TITLES)))
    text = f"Run of {datetime.now(UTC).date().isoformat()}.\n\n{table(measured)}"
    print(text)
    for what, times in measured.items():
        for failure in sorted(set(times.failures)):
            print(f"{what}: {times.failures.count(failure)} × {failure}", file=sys.stderr)
    if not only:
        PAGE.write_text(shown(PAGE.read_text("utf-8"), "lifecycle", text), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(summary(measured)))


async def _measured(folder: Path, wanted: set[str]) -> dict[str, Times]:
    """Each part is told as soon as it is known; one that fails is a failure in the table, and the others go on."""
    measured: dict[str, Times] = {}

    async def take(what: str, work: Awaitable[Times]) -> None:
        try:
            times = await work
        except Failed as failure:
            times = Times((), [str(failure)])
        measured[what] = times
        print(f"bench: {json.dumps(summary({what: times}))}", file=sys.stderr, flush=True)

    core, others = cores()
    os.sched_setaffinity(0, {int(others)})  # Postgres is started by us and stays with us
    if "first_visit_app" in wanted:
        async with staged(folder / "first", core=core, isolation="app", settings={}) as stage:
            await take("first_visit_app", measure.first_visits(stage, platform_s=BOOT_S))
    pool = {"first_visit_pool": 360, "claim": 60}
    for what, spares in pool.items():
        if what in wanted:
            sizes = {"POOL_MIN": str(spares), "POOL_MAX": str(spares)}
            async with staged(folder / what, core=core, isolation="machine", settings=sizes) as stage:
                await measure.pool_full(stage, spares)
                visits = measure.first_visits if what == "first_visit_pool" else measure.claims
                await take(what, visits(stage, platform_s=RESUME_S))
    for isolation in ("app", "machine"):
        if wanted & {f"wake_{isolation}", f"crowd_{isolation}"}:
            async with staged(folder / isolation, core=core, isolation=isolation, settings={}) as stage:
                if f"wake_{isolation}" in wanted:
                    await take(f"wake_{isolation}", measure.wakes(stage))
                if f"crowd_{isolation}" in wanted:
                    await take(f"crowd_{isolation}", measure.crowd(stage))
    return {what: measured[what] for what in TITLES if what in measured}
