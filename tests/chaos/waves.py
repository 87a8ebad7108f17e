"""Waves of people, each under one kind of trouble; and drills, in each of which a gateway dies at one named point."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.chaos.desk import Desk
from tests.chaos.ledger import unsettled
from tests.chaos.person import Person, Told, Unserved
from tests.chaos.scenes import SCENES
from tests.chaos.stage import Stage
from tests.chaos.troubles import Trouble, heal, order
from tests.parts.system import LOOK_S

SETTLES_WITHIN_S = 60.0
TRIES = 4
"""How often a drill is begun anew, at least, if no gateway came by its point: some lie in a race."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a wave, or of a drill with its one person."""

    name: str
    people: int
    served: int = 0
    struck: int = 0
    """Calls that went wrong, Machines or gateways that were harmed."""
    answers: Counter[int] = field(default_factory=Counter)
    longest_s: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def add(self, told: Told) -> None:
        self.answers += told.answers
        self.longest_s.append(told.longest_s)


async def wave(stage: Stage, name: str, trouble: Trouble, people: int) -> Outcome:
    """`people` at once, each a whole life, while `trouble` lasts. Half of them leave for good at the end."""
    outcome, desk, harm = Outcome(name=name, people=people), Desk(stage), list[str]()
    rules = order(stage, trouble)
    harass = asyncio.ensure_future(trouble.harass(stage, harm)) if trouble.harass else None
    try:
        slug = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        chances = [random.Random(stage.chance.random()) for _ in range(people)]
        await asyncio.gather(*(_live(desk, outcome, f"{slug}-{n}", n, chances[n]) for n in range(people)))
    finally:
        if harass is not None:
            harass.cancel()
            with suppress(asyncio.CancelledError):
                await harass
        heal(stage)
    outcome.struck = sum(rule.struck for rule in rules) + len(harm)
    return outcome


async def _live(desk: Desk, outcome: Outcome, name: str, number: int, chance: random.Random) -> None:
    first = sorted(desk.stage.replicas)[number % len(desk.stage.replicas)]
    async with Person(desk.stage, name, first=first) as person:
        try:
            await person.sign_in()
            await person.visit()
            await person.write(person.email)
            for _ in range(2):
                verb, asleep = chance.choice((("suspend", "suspended"), ("stop", "stopped")))
                await _try_to_sleep(desk, person, verb, asleep)
                said = await person.visit()
                if said["note"] != person.email:
                    raise Unserved(f"{person.email} lost what was on their disk: {said}")
            if number % 2:
                await desk.destroy(person)
            else:
                await _try_to_sleep(desk, person, "stop", "stopped")
            outcome.served += 1
        except Unserved as finding:
            outcome.findings.append(str(finding))
        outcome.add(person.told)


async def _try_to_sleep(desk: Desk, person: Person, verb: str, asleep: str) -> None:
    """As the sweeper would: asked once or twice, and no harm if a visit or a failure comes between."""
    for _ in range(2):
        row = await desk.row(person)
        if row is not None and row["state"] != asleep:
            await desk.ask("POST", f"/v1/instances/{row['user_id']}/{verb}")


@dataclass(frozen=True, slots=True)
class Part:
    """A scene, and the replica at which its person tries first."""

    scene: str
    first: str


async def rehearse(stage: Stage, points: Sequence[str]) -> tuple[dict[str, list[Part]], list[str]]:
    """Every scene once at each replica, undisturbed: in which of them each of `points` was reached.

    Some of that was done for somebody else meanwhile, and does not belong to the scene: hence all of them.
    And what went wrong already then.
    """
    with suppress(Unserved):
        await Desk(stage).pool_settled()
    found: dict[str, list[Part]] = {}
    failed: list[str] = []
    for part in (Part(scene, first) for scene in SCENES for first in sorted(stage.replicas)):
        before = len(stage.points.reached())
        outcome = await _act(stage, part, f"rehearsal-{part.scene}-{part.first}")
        failed += [f"{part.scene} at {part.first}, without a death: {finding}" for finding in outcome.findings]
        for point in dict.fromkeys(stage.points.reached()[before:]):
            found.setdefault(point, []).append(part)
    return {point: found[point] for point in points if point in found}, failed


async def drill(stage: Stage, point: str, parts: Sequence[Part]) -> Outcome:
    """One person goes through a scene; whichever gateway comes by `point` first dies there and is started again.

    `parts` are tried in turn until one comes by it.
    """
    for attempt in range(max(TRIES, len(parts))):
        part = parts[attempt % len(parts)]
        before = len(stage.points.died())
        stage.points.arm([point])
        outcome = await _act(stage, part, f"{point}-{attempt}".replace(":", "-").replace(".", "-").replace("_", "-"))
        stage.points.disarm()
        outcome.name, outcome.struck = point, len(stage.points.died()) - before
        if outcome.struck or outcome.findings:
            break
    if not outcome.struck:
        outcome.findings.append(f"{', '.join(dict.fromkeys(part.scene for part in parts))}: none came by it")
    return outcome


async def _act(stage: Stage, part: Part, name: str) -> Outcome:
    outcome, desk = Outcome(name=part.scene, people=1), Desk(stage)
    async with Person(stage, name, first=part.first) as person:
        try:
            await person.sign_in()
            await SCENES[part.scene](person, desk)
            heal(stage)
            await _tidy(desk, person)
            await desk.pool_settled()  # what a scene leads to is done within it, and not in the next one
            outcome.served = 1
        except Unserved as finding:
            outcome.findings.append(f"{part.scene}: {finding}")
        finally:
            heal(stage)
        outcome.add(person.told)
    return outcome


async def _tidy(desk: Desk, person: Person) -> None:
    """Their Machine takes memory while it runs."""
    row = await desk.row(person)
    if row is not None:
        await desk.act(person, "stop", reaches="stopped")


async def settled(stage: Stage) -> None:
    """Return when nobody has anything left to do, or SETTLES_WITHIN_S are over."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    while time.monotonic() < deadline:
        if not unsettled(await stage.rows.fetch("select email, state from public.user_instances")):
            return
        await asyncio.sleep(LOOK_S)
