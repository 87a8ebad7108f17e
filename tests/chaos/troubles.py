"""Kinds of trouble that strike while people live with their Machines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from localcloud.fly import Latencies
from localcloud.fly.faults import Rule
from localcloud.fly.states import State
from tests.chaos.stage import Stage

SOME: Final = 0.15
"""The share of Fly's calls that a common trouble strikes."""
OFTEN: Final = 0.4


@dataclass(slots=True, kw_only=True)
class Trouble:
    """What happens for as long as a wave lasts. `faults` strike calls at Fly, `harass` does harm by itself for ever.

    `harass` returns nothing and counts in the list it is given.
    """

    faults: Mapping[str, tuple[dict[str, Any], float]] = field(default_factory=dict)
    """By the action that they strike, or `*`: the fault, and the chance that it does."""
    latencies: Mapping[str, float] = field(default_factory=dict)
    harass: Callable[[Stage, list[str]], Awaitable[None]] | None = None
    times: int | None = None
    """Strikes of each fault at most, where each one costs somebody many seconds."""


async def every(seconds: float) -> AsyncIterator[None]:
    """The pace of a trouble: it strikes whatever people are at, so there is no event that it could wait for."""
    while True:
        await asyncio.sleep(seconds)
        yield


async def machines_die(stage: Stage, done: list[str]) -> None:
    """Some Machine that runs loses all its processes, three times a second; none more than three times."""
    async for _ in every(0.3):
        machines = [m for m in stage.fly.world.machines.values() if done.count(m.id) < 3]
        alive = [m for m in machines if m.state is State.STARTED and m.process is not None]
        if alive:
            victim = stage.chance.choice(sorted(alive, key=lambda machine: machine.name))
            assert victim.process is not None
            victim.process.kill()
            done.append(victim.id)


async def addresses_change(stage: Stage, done: list[str]) -> None:
    """Machines that sleep are moved to other hosts, and get each other's addresses."""
    async for _ in every(0.05):
        asleep = [m for m in stage.fly.world.machines.values() if m.state in (State.STOPPED, State.SUSPENDED)]
        if len(asleep) > 1:
            one, other = stage.chance.sample(sorted(asleep, key=lambda machine: machine.name), 2)
            status, _ = await stage.call("POST", f"/_local/machines/{one.id}/migrate", {"swap_with": other.id})
            done += [one.id] if status == 200 else []


async def machines_hang(stage: Stage, done: list[str]) -> None:
    """Some Machine that runs stands still, and Fly does not know."""
    async for _ in every(1.0):
        alive = [m for m in stage.fly.world.machines.values() if m.state is State.STARTED and m.id not in done]
        if alive:
            victim = stage.chance.choice(sorted(alive, key=lambda machine: machine.name))
            if victim.process is not None:
                victim.process.freeze()
                done.append(victim.id)


async def gateways_die(stage: Stage, done: list[str]) -> None:
    """kill -9 for one of the two, every few seconds; never both at once."""
    async for _ in every(2.5):
        name = stage.chance.choice(sorted(stage.replicas))
        if not any(replica.program.ended for replica in stage.replicas.values()):
            await stage.kill(name)
            done.append(name)


def _everywhere(fault: dict[str, Any], chance: float = SOME) -> Mapping[str, tuple[dict[str, Any], float]]:
    return {"*": (fault, chance)}


def _status(status: int) -> dict[str, Any]:
    return {"kind": "status", "status": status, "body": {"error": "upstream connect error"}}


def _no_room(scope: str, *actions: str) -> Mapping[str, tuple[dict[str, Any], float]]:
    return {action: ({"kind": "capacity", "scope": scope}, OFTEN) for action in actions}


_MAKING: Final = ("create_volume", "create_machine")
TROUBLES: Final[dict[str, Trouble]] = {
    "none": Trouble(),
    "429": Trouble(faults=_everywhere({"kind": "rate_limit", "retry_after": 1})),
    "429 without Retry-After": Trouble(faults=_everywhere({"kind": "rate_limit"})),
    "500": Trouble(faults=_everywhere(_status(500))),
    "503": Trouble(faults=_everywhere(_status(503))),
    "HTML instead of JSON": Trouble(faults=_everywhere({"kind": "status", "status": 502, "body": "<h1>502</h1>"})),
    "hang": Trouble(faults=_everywhere({"kind": "hang", "seconds": 12}), times=12),
    "lost answer after success": Trouble(faults=_everywhere({"kind": "lost_answer"})),
    "connection reset": Trouble(faults=_everywhere({"kind": "reset"})),
    "connection refused": Trouble(faults=_everywhere({"kind": "refuse_connection", "seconds": 0.2}, 0.05)),
    "no room: host": Trouble(faults=_no_room("host", *_MAKING, "start_machine")),
    "no room: volume's host": Trouble(faults=_no_room("volume_host", "create_machine")),
    "no room: region": Trouble(faults=_no_room("region", *_MAKING)),
    "no room: organisation": Trouble(faults=_no_room("organisation", *_MAKING)),
    "slow boots": Trouble(latencies={"create": 2.0, "start": 1.5, "resume": 1.0, "volume": 0.5}),
    "boots that fail": Trouble(faults={action: ({"kind": "boot_failure"}, OFTEN) for action in _MAKING[1:]}),
    "Machines die": Trouble(harass=machines_die),
    "Machines hang": Trouble(harass=machines_hang),
    "stale addresses": Trouble(harass=addresses_change),
    "gateways killed": Trouble(harass=gateways_die),
}


def order(stage: Stage, trouble: Trouble) -> list[Rule]:
    """Let it begin. The rules count how often they struck."""
    rules = []
    for action, (fault, chance) in trouble.faults.items():
        script: dict[str, Any] = {"fault": fault, "chance": chance, "times": trouble.times}
        if action != "*":
            script["match"] = {"action": action}
        rules.append(stage.fly.faults.add(script))
    stage.fly.latencies.change(dict(trouble.latencies))
    return rules


def heal(stage: Stage) -> None:
    """No more trouble, and everything as quick as it was."""
    stage.fly.faults.rules.clear()
    usual = Latencies()
    stage.fly.latencies.change({name: getattr(usual, name) for name in Latencies.__slots__})
