"""One run: every kind of trouble, a death at every point, and the books at the end."""

import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.failpoints import every_point
from localcloud.database import Database
from localcloud.fly.states import State
from provisioner.audit import Broken
from provisioner.store.audit import verify
from tests.chaos import ledger
from tests.chaos.ledger import Books, Thing
from tests.chaos.stage import Stage, staged
from tests.chaos.troubles import TROUBLES
from tests.chaos.waves import Outcome, Part, drill, rehearse, settled, wave

ERROR: Final = "[error "
"""How a line of the log begins that somebody has to look after, behind its time."""
DATED: Final = re.compile(r"20\d\d-")
SHARED_APP: Final = "jarvis-machines"
GONE: Final = (State.DESTROYED, State.DESTROYING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run consists of. The same plan under the same seed asks for the same things in the same order."""

    seed: int
    troubles: Sequence[str] = tuple(TROUBLES)
    people: int = 8
    """In each wave."""
    points: Sequence[str] | None = None
    """Where a gateway dies, a drill each. None: everywhere."""
    part: Part | None = None
    """That of all drills, where no rehearsal is to find out which leads to each point."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it. It is good if there is no finding anywhere."""

    seed: int
    waves: list[Outcome] = field(default_factory=list)
    drills: list[Outcome] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    audit_rows: int = 0
    deaths: int = 0
    took_s: float = 0.0

    def add(self, other: "Result") -> None:
        """What came of another world under the same seed."""
        self.waves += other.waves
        self.drills += other.drills
        self.unreached += other.unreached
        self.complaints += other.complaints
        self.audit_rows += other.audit_rows
        self.deaths += other.deaths
        self.took_s += other.took_s

    @property
    def people(self) -> int:
        return sum(outcome.people for outcome in (*self.waves, *self.drills))

    @property
    def findings(self) -> list[str]:
        told = [f"{each.name}: {finding}" for each in (*self.waves, *self.drills) for finding in each.findings]
        return [*told, *(f"{point}: no scene leads there" for point in self.unreached), *self.complaints]


async def run(plan: Plan, folder: Path, database: Database, **settings: str) -> Result:
    """Raises nothing for what it finds: that is in the result."""
    began, result = time.monotonic(), Result(seed=plan.seed)
    async with staged(folder, database, seed=plan.seed, **settings) as stage:
        for name in plan.troubles:
            result.waves.append(await wave(stage, name, TROUBLES[name], plan.people))
            _say(result.waves[-1])
        points = list(every_point() if plan.points is None else plan.points)
        scenes, result.complaints = await _scenes(stage, points, plan.part)
        result.unreached = [point for point in points if point not in scenes]
        drills = list(scenes.items())
        random.Random(plan.seed).shuffle(drills)
        for point, parts in drills:
            result.drills.append(await drill(stage, point, parts))
            _say(result.drills[-1])
        await settled(stage)
        complaints, result.audit_rows = await close_books(stage)
        result.complaints += complaints
        result.complaints += [
            complaint for replica in stage.replicas.values() for complaint in bugs(replica.program.log())
        ]
        result.deaths = stage.deaths
    result.took_s = time.monotonic() - began
    return result


async def _scenes(stage: Stage, points: Sequence[str], part: Part | None) -> tuple[dict[str, list[Part]], list[str]]:
    """Which scenes lead to each point; those that none leads to are left out. And what went wrong in finding out."""
    if not points:
        return {}, []
    if part is not None:
        return {point: [part] for point in points}, []
    return await rehearse(stage, points)


async def close_books(stage: Stage) -> tuple[list[str], int]:
    """What is wrong now, and how many rows the audit log has."""
    world = stage.fly.world
    books = Books(
        rows=await stage.rows.fetch("select * from public.user_instances order by email"),
        audit=await stage.rows.fetch("select * from gateway.audit_log order by id"),
        machines=[
            Thing(id=machine.id, name=machine.name, instance=machine.metadata.get("instance"))
            for machine in world.machines.values()
            if machine.state not in GONE
        ],
        volumes=[
            Thing(id=volume.id, name=volume.name) for volume in world.volumes.values() if "destroy" not in volume.state
        ],
        apps=[Thing(id=app.id, name=app.name) for app in world.apps.values() if app.status != "deleting"],
        shared_app=SHARED_APP,
        known_machines=await _named(stage, "select machine_id from gateway.spares"),
        known_apps=await _named(stage, "select app_name from gateway.spares"),
        known_volumes=await _named(
            stage, "select volume_id from gateway.spares union select volume_id from gateway.kept_volumes"
        ),
    )
    found = ledger.complaints(books)
    try:
        await verify(stage.rows)
    except Broken as broken:
        found.append(f"the chain of the audit log does not hold: {broken}")
    return found, len(books.audit)


async def _named(stage: Stage, query: str) -> frozenset[str]:
    return frozenset(row[0] for row in await stage.rows.fetch(query) if row[0])


def bugs(log: str) -> list[str]:
    """What a replica itself calls an error of ours: each kind once, with the end of its traceback."""
    found: dict[str, str] = {}
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if ERROR in line:
            event = line.partition(ERROR)[2].split(maxsplit=2)[1]
            trace = [follows for follows in lines[number + 1 : number + 120] if not DATED.match(follows)]
            found.setdefault(event, f"{event}: {(trace or [line])[-1][:300]}")
    return list(found.values())


def _say(outcome: Outcome) -> None:
    went = f"{outcome.served} of {outcome.people} served, {outcome.struck} struck, {max(outcome.longest_s):.1f} s"
    print(f"chaos: {outcome.name}: {went} {'; '.join(outcome.findings)}", file=sys.stderr, flush=True)
