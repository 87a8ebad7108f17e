"""One run: every kind of trouble, a death at every point, and the books at the end."""

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.failpoints import every_point
from localcloud.database import Database
from localcloud.fly.states import State
from provisioner.audit import Broken
from provisioner.store.audit import verify
from tests.chaos.ledger import Books, Thing, complaints
from tests.chaos.stage import Stage, staged
from tests.chaos.troubles import TROUBLES
from tests.chaos.waves import Outcome, drill, rehearse, settled, wave

GONE = (State.DESTROYED, State.DESTROYING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run consists of. The same plan under the same seed asks for the same things in the same order."""

    seed: int
    troubles: Sequence[str] = tuple(TROUBLES)
    people: int = 8
    """In each wave."""
    points: Sequence[str] | None = None
    """Where a gateway dies, a drill each. None: everywhere."""
    scene: str | None = None
    """The scene of all drills, where no rehearsal is to find out which one leads to each point."""


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
        scenes = await _scenes(stage, points, plan.scene)
        result.unreached = [point for point in points if point not in scenes]
        drills = list(scenes.items())
        random.Random(plan.seed).shuffle(drills)
        for point, scene in drills:
            result.drills.append(await drill(stage, point, scene))
            _say(result.drills[-1])
        await settled(stage)
        result.complaints, result.audit_rows = await close_books(stage)
        result.deaths = stage.deaths
    result.took_s = time.monotonic() - began
    return result


async def _scenes(stage: Stage, points: Sequence[str], scene: str | None) -> dict[str, str]:
    """Which scene leads to each point; those that none leads to are left out."""
    if scene is not None or not points:
        return dict.fromkeys(points, scene or "")
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
    )
    found = complaints(books)
    try:
        await verify(stage.rows)
    except Broken as broken:
        found.append(f"the chain of the audit log does not hold: {broken}")
    return found, len(books.audit)


def _say(outcome: Outcome) -> None:
    went = f"{outcome.served} of {outcome.people} served, {outcome.struck} struck, {max(outcome.longest_s):.1f} s"
    print(f"chaos: {outcome.name}: {went} {'; '.join(outcome.findings)}", file=sys.stderr, flush=True)
