"""The life of one Instance in words: who woke it, what kept it awake, why it was put to sleep, what comes next.

Pure: from rows of the audit log, vigils and the record to what a user or an operator may read.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from provisioner.audit import Entry
from provisioner.flap import Flap, flap, naps
from provisioner.idle import SleepTimes, Vigil, sleeps_at
from provisioner.instance import Instance, State

CURRENT: Final = timedelta(minutes=2)
"""A vigil that was confirmed so lately still goes on."""


class Kind(StrEnum):
    """What sort of moment."""

    MADE = "made"
    WOKE = "woke"
    KEPT_AWAKE = "kept_awake"
    EXTENDED = "extended"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened. `text` is a sentence for anybody; `actor` is who did it, as the audit log names them."""

    at: datetime
    kind: Kind
    text: str
    actor: str
    until: datetime | None = None
    """For what lasts: until when."""
    took_s: float | None = None
    """For a wake or a making: seconds until it was ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How it stands now, and what comes next if nothing happens."""

    state: State
    sleeps_at: datetime | None
    """ACTIVE: when it is due to be suspended; in the past if it is due and `kept_awake_by` something."""
    stops_at: datetime | None
    """Suspended: when its memory is given up."""
    kept_awake_by: str | None
    keep_awake_until: datetime | None
    """What somebody asked for, while it lasts."""
    may_extend_until: datetime
    """The latest that may be asked for now."""
    flapping: Flap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`moments`: newest first."""

    moments: Sequence[Moment]
    outlook: Outlook


def who(actor: str) -> str:
    """An actor of the audit log, for a reader who does not know our house."""
    if actor.startswith("operator:"):
        return "the operator"
    return {
        "visit": "a visit",
        "silence": "a visit that got no answer",
        "recovery": "the gateway, which went on where it was interrupted",
        "queue": "the queue, which tried again",
        "sweeper": "the gateway",
        "reconciler": "the gateway, which compared its records with the cloud",
        "pool": "the gateway",
        "rollout": "an update",
    }.get(actor, "its owner" if actor.startswith(("user", "account")) or "-" in actor else actor)


def moments(entries: Iterable[Entry], vigils: Iterable[Vigil]) -> list[Moment]:
    """What `entries` (one Instance's, oldest first) and its `vigils` tell, newest first."""
    told: list[Moment] = []
    began: Entry | None = None  # what the next `ready` is the end of
    why = ""
    for entry in entries:
        detail = _detail(entry)
        match entry.action:
            case "create" | "retry" | "wake":
                began = entry
            case "ready":
                told.append(_ready(entry, began, detail))
                began = None
            case "drain":
                why = str(detail.get("why", ""))
            case "suspend" | "stop":
                why = str(detail.get("why", why))
            case "asleep":
                told.append(_asleep(entry, why))
                why = ""
            case "extend":
                told.append(_extended(entry, detail))
            case "fail":
                text = "Could not be made; it is tried again." if entry.to_state == State.FAILED else "Did not wake."
                told.append(Moment(at=entry.at, kind=Kind.FAILED, text=text, actor=entry.actor))
                began = None
            case "delete":
                told.append(Moment(at=entry.at, kind=Kind.DELETING, text="Deletion began.", actor=entry.actor))
            case _:
                pass  # not about waking and sleeping
    told += [
        Moment(
            at=vigil.first_at,
            kind=Kind.KEPT_AWAKE,
            text=f"Kept awake by {vigil.reason}.",
            actor="sweeper",
            until=vigil.last_at,
        )
        for vigil in vigils
    ]
    return sorted(told, key=lambda moment: moment.at, reverse=True)


def outlook(
    instance: Instance,
    entries: Iterable[Entry],
    vigils: Iterable[Vigil],
    *,
    now: datetime,
    times: SleepTimes,
    keep_awake_until: datetime | None,
    touched: datetime | None,
) -> Outlook:
    """What comes next for `instance`. `touched`: activity that is not in the record yet."""
    flapping = flap(naps(slept_and_woke(entries), now=now))
    asked = keep_awake_until if keep_awake_until is not None and keep_awake_until > now else None
    sleeps = stops = kept = None
    if instance.state in (State.ACTIVE, State.DRAINING):
        sleeps = sleeps_at(instance, times, keep_awake_until=asked, flap=flapping, touched=touched)
        latest = max(vigils, key=lambda vigil: vigil.last_at, default=None)
        if sleeps <= now and latest is not None and now - latest.last_at <= CURRENT:
            kept = latest.reason
    elif instance.state is State.SUSPENDED:
        stops = instance.state_since + times.stop_after
    return Outlook(
        state=instance.state,
        sleeps_at=sleeps,
        stops_at=stops,
        kept_awake_by=kept,
        keep_awake_until=asked,
        may_extend_until=now + times.awake_cap,
        flapping=flapping,
    )


def slept_and_woke(entries: Iterable[Entry]) -> list[tuple[datetime, datetime]]:
    """Each sleep that was ended by a wake: when it began and when it ended. `entries` as in `moments`."""
    found: list[tuple[datetime, datetime]] = []
    slept: datetime | None = None
    for entry in entries:
        if entry.action in ("suspend", "stop", "asleep"):
            slept = entry.at
        elif entry.action == "wake" and slept is not None:
            found.append((slept, entry.at))
            slept = None
    return found


def _ready(entry: Entry, began: Entry | None, detail: Mapping[str, Any]) -> Moment:
    steps = detail.get("steps")
    took = sum(steps.values()) if isinstance(steps, dict) else None
    in_s = "" if took is None else f" in {took:.1f} s"
    by = entry.actor if began is None else began.actor
    if began is not None and began.action != "wake":
        return Moment(at=entry.at, kind=Kind.MADE, text=f"Made{in_s}, for {who(by)}.", actor=by, took_s=took)
    how = {"resume": "Woke up where it had stopped", "start": "Started anew"}.get(str(detail.get("path")), "Woke up")
    return Moment(at=entry.at, kind=Kind.WOKE, text=f"{how}{in_s}, for {who(by)}.", actor=by, took_s=took)


def _asleep(entry: Entry, why: str) -> Moment:
    stopped = entry.to_state == State.STOPPED
    kind, text = (Kind.STOPPED, "Stopped") if stopped else (Kind.SUSPENDED, "Put to sleep")
    by = who(entry.actor)
    reason = f": {why}" if why and why != "asked for" else ""
    return Moment(at=entry.at, kind=kind, text=f"{text} by {by}{reason}.", actor=entry.actor)


def _extended(entry: Entry, detail: Mapping[str, Any]) -> Moment:
    until = datetime.fromisoformat(detail["until"]) if isinstance(detail.get("until"), str) else None
    text = "To be kept awake for a while, asked for" if until is None or until > entry.at else "May sleep again, asked"
    return Moment(
        at=entry.at, kind=Kind.EXTENDED, text=f"{text} by {who(entry.actor)}.", actor=entry.actor, until=until
    )


def _detail(entry: Entry) -> Mapping[str, Any]:
    detail = json.loads(entry.detail)
    return detail if isinstance(detail, dict) else {}
