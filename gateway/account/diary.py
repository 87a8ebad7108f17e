"""What the audit log tells of one machine: its last wakes, and for how long it was awake on each day. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final

from provisioner.instance import State

AWAKE: Final = frozenset({State.ACTIVE, State.DRAINING})
"""In these it can be used: what a person calls awake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One step of a machine's life, as the audit log has it. `steps` in seconds, of a step that ended a wake."""

    at: datetime
    action: str
    actor: str
    from_state: State | None
    to_state: State
    path: str = ""
    steps: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """One wake, or the making. `path` is "provision", "resume", "start"…; `actor` asked for it."""

    at: datetime
    path: str
    actor: str
    steps: Mapping[str, float]

    @property
    def took_s(self) -> float:
        """All its steps together, in seconds."""
        return sum(self.steps.values())


def wakes(entries: Iterable[Entry]) -> list[Wake]:
    """Every wake that ended well among `entries` (oldest first), newest first."""
    found: list[Wake] = []
    asked: Entry | None = None
    for entry in entries:
        if entry.to_state in (State.PROVISIONING, State.WAKING):
            asked = entry
        elif entry.to_state is State.ACTIVE and entry.from_state in (State.PROVISIONING, State.WAKING):
            actor = entry.actor if asked is None else asked.actor
            found.append(Wake(at=entry.at, path=entry.path, actor=actor, steps=entry.steps))
            asked = None
    return found[::-1]


def awake_by_day(
    entries: Sequence[Entry], *, since: datetime, now: datetime, state_now: State | None
) -> list[timedelta]:
    """For how long it was awake on each UTC day, from that of `since` to that of `now`.

    `entries` are all since then, oldest first; `state_now` is what holds if there are none, None without a machine.
    """
    day = datetime.combine(since.astimezone(UTC).date(), time(), UTC)
    days = [timedelta(0)] * ((now.astimezone(UTC).date() - day.date()).days + 1)
    state, begun = (entries[0].from_state if entries else state_now), since
    for at, after in [*((entry.at, entry.to_state) for entry in entries), (now, state_now)]:
        if state in AWAKE:
            _spread(days, day, begun, at)
        state, begun = after, at
    return days


def _spread(days: list[timedelta], first: datetime, start: datetime, end: datetime) -> None:
    """Add the time from `start` to `end` to the days it lies on."""
    while start < end:
        number = (start - first) // timedelta(days=1)
        midnight = first + timedelta(days=number + 1)
        days[number] += min(end, midnight) - start
        start = midnight
