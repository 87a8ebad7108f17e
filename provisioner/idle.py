"""Who may be put to sleep, and when? Pure judgements over what is recorded and what this replica knows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from provisioner.flap import Flap
from provisioner.instance import Instance, State, UserId


class SleepTimes(Protocol):
    """When Machines of one plan go to sleep: `provisioner.plans.Plan`, as far as it matters here."""

    @property
    def suspend_after(self) -> timedelta:
        """Quiet time before a Machine is suspended."""

    @property
    def stop_after(self) -> timedelta:
        """Suspended time before the snapshot is given up. A stopped Machine boots anew: seconds, not a fraction."""

    @property
    def awake_cap(self) -> timedelta:
        """The longest that anything but its user's own activity keeps it awake, and that may be asked for."""


TimesOf = Callable[[UserId], SleepTimes]
"""Of a user's plan in force; from memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An Instance that the sweeper looks at."""

    instance: Instance
    keep_awake_until: datetime | None
    """What somebody asked for, if they did."""

    def unmoved(self, instance: Instance) -> bool:
        """`instance`, as it is now, is where the judged one was: it neither slept nor woke since."""
        return (instance.state, instance.state_since) == (self.instance.state, self.instance.state_since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vigil:
    """A Machine that was due to sleep was left awake all this time, for this reason."""

    reason: str
    first_at: datetime
    last_at: datetime


def sleeps_at(
    instance: Instance,
    times: SleepTimes,
    *,
    keep_awake_until: datetime | None = None,
    flap: Flap | None = None,
    touched: datetime | None = None,
) -> datetime:
    """When an ACTIVE Instance is due to be suspended, if nothing happens until then. `touched` as in `quiet`.

    Flapping makes the wait longer, up to the plan's cap.
    """
    after = times.suspend_after if flap is None else min(times.suspend_after * flap.factor, times.awake_cap)
    due = max(instance.last_active, touched or instance.last_active) + max(after, times.suspend_after)
    return due if keep_awake_until is None else max(due, keep_awake_until)


def quiet(
    candidates: Iterable[Candidate],
    *,
    now: datetime,
    times_of: TimesOf,
    touched: Mapping[UserId, datetime],
    flaps: Mapping[UserId, Flap],
) -> list[Candidate]:
    """Those to suspend at `now`: ACTIVE, without activity for as long as their plan allows, and not asked to stay.

    `touched` holds activity that this replica has not written to the record yet.
    """
    return [
        each
        for each in candidates
        if each.instance.state is State.ACTIVE
        and now
        >= sleeps_at(
            each.instance,
            times_of(each.instance.user_id),
            keep_awake_until=each.keep_awake_until,
            flap=flaps.get(each.instance.user_id),
            touched=touched.get(each.instance.user_id),
        )
    ]


def overslept(candidates: Iterable[Candidate], *, now: datetime, times_of: TimesOf) -> list[Candidate]:
    """Those to stop at `now`: suspended for as long as their plan allows, so that their snapshot is given up."""
    return [
        each
        for each in candidates
        if each.instance.state is State.SUSPENDED
        and now - each.instance.state_since >= times_of(each.instance.user_id).stop_after
    ]
