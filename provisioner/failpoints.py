"""Named moments at which a replica can be made to die, to prove that whoever comes next goes on from there.

What a crash can spoil lies between two acts: calls through a port that change something at Fly or in Postgres. So
each act of each port has two points, `<port>.<act>:before` and `<port>.<act>:after`, derived from the port's Protocol:
an act that is added to a port is a point by itself, and nothing is written into the use cases. A step of the life names
its row of STEPS: `store.move.waking.ready:after`; one that is taken from anywhere, its event:
`store.move.delete:after`. In production no port is wrapped at all.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from typing import Any, Final, TypeVar, cast

from provisioner.instance import STEPS, Event, State

Port = TypeVar("Port")
Reach = Callable[[str], None]
"""Hears the name of each point when it is reached. It may end the process."""

LOOKS: Final = frozenset(
    # Calls that change nothing: dying around one is dying after the act before it. Whatever is not named is an act.
    {
        *("apps", "volumes", "machine", "machines", "wait", "latest_snapshot", "kept_volumes"),
        *("find", "page", "quiet", "asleep", "unfinished", "waiting", "due", "queued", "usual"),
        *("all_spares", "arrivals", "newest_rollout", "rollout_tally", "rollout_idle", "rollout_unproven"),
    }
)
LOSSES: Final = frozenset(
    # Acts that may be lost without harm and happen at times of their own, or at an operator's word: whoever gave it
    # hears that it failed, and one statement leaves nothing half done.
    {"touch", "try_again", "reschedule", "drop"}
)

ANYWHERE: Final = (Event.DELETE,)
ELSEWHERE: Final = ((State.PROVISIONING, Event.FAIL), (State.SUSPENDED, Event.WAKE), (State.STOPPED, Event.WAKE))
"""Steps that acts of their own take: `put_off`, `wake`."""


def watched(port: Port, shape: type, name: str, reach: Reach) -> Port:
    """`port`, which fits the Protocol `shape`, telling `reach` before and after each of its acts.

    What is not an act of `shape` is `port`'s own.
    """
    return cast("Port", _Watched(port, acts(shape), name, reach))


def points(ports: Mapping[str, type]) -> Iterator[str]:
    """Every point of these Protocols by the name that `watched` gets for them."""
    for name, shape in ports.items():
        for act in sorted(acts(shape)):
            for what in sorted(_steps()) if act == "move" else [""]:
                yield from (f"{name}.{act}{what}:{when}" for when in ("before", "after"))


def acts(shape: type) -> frozenset[str]:
    """The coroutine functions of a Protocol that change something."""
    every = {name for name, _ in inspect.getmembers(shape, inspect.iscoroutinefunction)}
    return frozenset(every - LOOKS - LOSSES)


def _steps() -> set[str]:
    return {_step(None, state, event) for state, event in STEPS if (state, event) not in ELSEWHERE}


class _Watched:
    """Stands before a port; everything it does not know is the port's."""

    def __init__(self, port: object, acts: frozenset[str], name: str, reach: Reach) -> None:
        self._port, self._acts, self._name, self._reach = port, acts, name, reach

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._port, attribute)
        return wraps(value)(partial(self._act, attribute, value)) if attribute in self._acts else value

    async def _act(self, act: str, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        point = f"{self._name}.{act}"
        if act == "move":
            point += _step(*given, **named)
        self._reach(f"{point}:before")
        told = await call(*given, **named)
        self._reach(f"{point}:after")
        return told


def _step(user_id: object, state: State, event: Event, **_: object) -> str:
    return f".{event}" if event in ANYWHERE else f".{state}.{event}"
