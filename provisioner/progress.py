"""What a waiting user may watch: the named steps of one bring-up, which only ever move forward."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from provisioner.clock import Clock

StepState = Literal["waiting", "running", "done", "failed"]

PROVISION: Final = ("reserve", "boot", "network", "app", "open")
WAKE: Final = ("reserve", "resume", "network", "app", "open")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step as it stands. `took_s` is final for `done`, so far for `running`, None before."""

    name: str
    state: StepState
    took_s: float | None


class Progress:
    """The steps of one bring-up. One writer, the job; any number of watchers.

    `path` names what kind of bring-up it is ("provision", "resume", "start") and is the key of our own history.
    """

    def __init__(self, path: str, names: Sequence[str], clock: Clock) -> None:
        self.path = path
        self.attempt = 1
        self.attempts: int | None = None
        """After so many tries this bring-up gives up; None while nobody said."""
        self.cause: str | None = None
        """Why the attempt before this one came to nothing, written for the user."""
        self.finished = False
        self.error: str | None = None
        self._names = tuple(names)
        self._clock = clock
        self.since = clock.now()
        """When it began, for people; durations are measured by the monotonic clock."""
        self._started: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._changed = asyncio.Event()
        self.reach(self._names[0])

    @property
    def machine(self) -> str:
        """The step in which Fly brings up the Machine, whatever this path calls it."""
        return self._names[1]

    def reach(self, name: str) -> None:
        """Step `name` runs now; all before it are done. A step that was passed already is left alone."""
        position = self._names.index(name)
        if name in self._started:
            return
        now = self._clock.monotonic()
        for earlier in self._names[:position]:
            self._finish(earlier, now)
        self._started[name] = now
        self._tell()

    def become(self, path: str, names: Sequence[str]) -> None:
        """It turned out to be another kind of bring-up: the same beginning, other steps ahead."""
        self.path, self._names = path, tuple(names)
        self._tell()

    def finish(self) -> None:
        """Everything is done: the Instance is ready."""
        now = self._clock.monotonic()
        for name in self._names:
            self._finish(name, now)
        self.finished = True
        self._tell()

    def fail(self, error: str) -> None:
        """The bring-up gave up; `error` is written for the user."""
        self.error, self.finished = error, True
        self._tell()

    def again(self, cause: str) -> None:
        """Another attempt begins, because of `cause`, written for the user. Steps stay where they are: to a watcher
        nothing goes back.
        """
        self.attempt += 1
        self.cause = cause
        self._tell()

    def steps(self) -> list[Step]:
        """All steps in order, as they stand now."""
        now = self._clock.monotonic()
        return [self._step(name, now) for name in self._names]

    def took(self) -> Mapping[str, float]:
        """Seconds by step, finished ones only: what goes into our history."""
        return dict(self._took)

    async def changed(self) -> None:
        """Return at the next change; at once when finished."""
        if not self.finished:
            await self._changed.wait()

    def _step(self, name: str, now: float) -> Step:
        if name in self._took:
            return Step(name=name, state="done", took_s=round(self._took[name], 3))
        if name in self._started:
            state: StepState = "failed" if self.error else "running"
            return Step(name=name, state=state, took_s=round(now - self._started[name], 3))
        return Step(name=name, state="waiting", took_s=None)

    def _finish(self, name: str, now: float) -> None:
        self._took.setdefault(name, now - self._started.setdefault(name, now))

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
