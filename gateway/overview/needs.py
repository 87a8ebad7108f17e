"""What needs somebody, each with its cause, its age, what it costs and what mends it. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, cast

from gateway.overview.book import Replica, Trouble
from provisioner.images import Rollout, RolloutState
from provisioner.instance import UserId

STUCK_AFTER: Final = timedelta(minutes=3)
"""A state on the way somewhere lasts seconds; a bring-up gives up after two minutes by itself."""
AWAKE_AFTER: Final = timedelta(hours=24)
FLAPS_WITHIN: Final = timedelta(hours=1)
FLAPS: Final = 6
FAILURES: Final = 2
SILENT_AFTER: Final = timedelta(seconds=60)

Kind = Literal[
    "stuck",
    "dead_letter",
    "failing",
    "never_idle",
    "flapping",
    "loop_stale",
    "replica_silent",
    "held_back",
    "orphan",
    "rollout_halted",
]


@dataclass(frozen=True, slots=True)
class Fix:
    """What mends it, as a call of the admin API."""

    label: str
    method: Literal["POST", "PUT", "DELETE"]
    path: str
    body: dict[str, object] | None = None
    confirm: str | None = None
    """What to say before it is done, where it is not easily undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing to look at. `usd_per_day`: what it costs us as long as nobody does."""

    kind: Kind
    title: str
    cause: str
    since: datetime
    usd_per_day: float | None = None
    user_id: UserId | None = None
    email: str | None = None
    fix: Fix | None = None
    doc: str | None = None
    """Where to read on."""


def needs_of(
    trouble: Iterable[Trouble], replicas: Iterable[Replica], *, now: datetime, usd_per_day: Callable[[UserId], float]
) -> Sequence[Need]:
    """Everything, the most urgent kind first and the oldest first within it. `usd_per_day`: of a Machine that runs."""
    needs = [_of(each, usd_per_day) for each in trouble]
    needs += [need for each in replicas for need in _of_replica(each, now)]
    return in_order(needs)


def needs_of_rollout(rollout: Rollout | None) -> Sequence[Need]:
    """A rollout that halted by itself waits for somebody to take it back, or to go on knowing why."""
    if rollout is None or rollout.state is not RolloutState.HALTED:
        return ()
    back = "Everybody who was moved returns to the image they had, each when they sleep."
    need = Need(
        kind="rollout_halted",
        title=f"The rollout halted at {rollout.percent} %",
        cause=f"{rollout.why}. Nobody is moved any more; whoever met it is back on the former image.",
        since=rollout.state_since,
        fix=Fix("Take it back", "POST", "/v1/rollout/back", confirm=back),
        doc="docs/operations.md#a-new-golden-image",
    )
    return (need,)


def in_order(needs: Iterable[Need]) -> Sequence[Need]:
    """The most urgent kind first and the oldest first within it."""
    return sorted(needs, key=lambda need: (_URGENT.index(need.kind), need.since))


_URGENT: Final[Sequence[Kind]] = (
    "replica_silent",
    "loop_stale",
    "rollout_halted",
    "dead_letter",
    "stuck",
    "failing",
    "flapping",
    "never_idle",
    "held_back",
    "orphan",
)


def _of(trouble: Trouble, usd_per_day: Callable[[UserId], float]) -> Need:
    cause = trouble.error or ""
    match trouble.kind:
        case "stuck":
            title = f"Stuck in {trouble.state}"
            cause = cause or _STUCK.get(trouble.state, "Nobody finished it.")
            fix = _fix_stuck(trouble)
        case "dead_letter":
            title, fix = "Given up: this user waits and nobody tries any more", _act(trouble, "start", "Try now")
        case "failing":
            title = f"Failed {trouble.times + 1} times; the queue goes on trying"
            fix = _act(trouble, "start", "Try now")
        case "flapping":
            title = f"Woken {trouble.times} times within the hour"
            cause = cause or "Something asks again and again: a hidden tab, a poll, a client that reconnects."
            fix = _act(trouble, "stop", "Stop it")
        case _:
            title = "Has not slept for a day"
            cause = cause or "Its user or its App keeps it busy, or its Guard cannot be read."
            fix = _act(trouble, "suspend", "Suspend it")
    running = trouble.kind in ("flapping", "never_idle") or (trouble.kind == "stuck" and trouble.state != "deleting")
    return Need(
        kind=cast("Kind", trouble.kind),  # the query's own words
        title=title,
        cause=cause,
        since=trouble.since,
        usd_per_day=usd_per_day(trouble.user_id) if running else None,
        user_id=trouble.user_id,
        email=trouble.email,
        fix=fix,
    )


_STUCK: Final = {
    "provisioning": "No replica brought it up, and none failed it either.",
    "waking": "No replica woke it, and none gave it up either.",
    "draining": "It was to be put to sleep, and nobody went on.",
    "suspending": "Fly has not said that it sleeps.",
    "stopping": "Fly has not said that it stopped.",
    "deleting": "Its Machine or volume is still at Fly.",
}


def _fix_stuck(trouble: Trouble) -> Fix:
    match trouble.state:
        case "deleting":
            return Fix(
                "Finish deleting",
                "DELETE",
                f"/v1/instances/{trouble.user_id}",
                confirm=f"This ends Machine and volume of {trouble.email}.",
            )
        case "suspending" | "stopping" | "draining":
            return _act(trouble, "stop", "Stop it")
        case _:
            return _act(trouble, "start", "Bring it up")


def _act(trouble: Trouble, action: str, label: str) -> Fix:
    return Fix(label, "POST", f"/v1/instances/{trouble.user_id}/{action}")


def _of_replica(replica: Replica, now: datetime) -> Iterable[Need]:
    if now - replica.seen_at > SILENT_AFTER:
        yield Need(
            kind="replica_silent",
            title=f"Replica {replica.name} is silent",
            cause="It ended without saying so, or cannot reach the database. Others go on with its work.",
            since=replica.seen_at,
        )
    for loop, how in replica.loops.items():
        if how != "runs":
            yield Need(
                kind="loop_stale",
                title=f"Background work “{loop}” has ended on {replica.name}",
                cause="It never should: look for `background_work_ended` in the log, and restart this replica.",
                since=replica.seen_at,
            )
