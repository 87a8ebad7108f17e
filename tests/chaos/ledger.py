"""What must be true when the dust has settled. Pure: from what is recorded and what is at Fly to complaints."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from provisioner.instance import State

STATES: Final = frozenset(str(state) for state in State)
RESTING: Final = {"active", "suspended", "stopped"}
"""Where a row may be when nobody works any more. All other states have somebody who brings them to an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A Machine, volume or app at Fly. `instance` is the tag that says for whom it was made."""

    id: str
    name: str
    instance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Everything there is: rows of `user_instances`, of the audit log, and what lives at Fly."""

    rows: Sequence[Mapping[str, Any]]
    audit: Sequence[Mapping[str, Any]]
    machines: Sequence[Thing]
    volumes: Sequence[Thing]
    apps: Sequence[Thing] = ()
    shared_app: str = ""
    """The app of all who have none of their own."""
    known_volumes: frozenset[str] = field(default_factory=frozenset)
    """Volumes that the database names elsewhere than in an Instance: kept ones, spares'."""
    known_machines: frozenset[str] = field(default_factory=frozenset)
    known_apps: frozenset[str] = field(default_factory=frozenset)


def complaints(books: Books) -> list[str]:
    """Everything that is not as it has to be; empty is good."""
    return [*_rows(books), *_orphans(books), *_audit(books)]


def unsettled(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Rows that somebody still has to bring to an end."""
    return [f"{row['email']} is {row['state']}" for row in rows if row["state"] not in RESTING]


def _rows(books: Books) -> Iterator[str]:
    machines, volumes = {m.id for m in books.machines}, {v.id for v in books.volumes}
    made_for: dict[str | None, list[str]] = defaultdict(list)
    for machine in books.machines:
        made_for[machine.instance].append(machine.id)
    for row in books.rows:
        who, mine = row["email"], made_for[str(row["id"])]
        if row["state"] not in RESTING:
            yield f"{who}: stuck in {row['state']} since {row['state_since']:%H:%M:%S}"
        if len(mine) > 1:
            yield f"{who}: {len(mine)} Machines: {', '.join(mine)}"
        if row["machine_id"] is None or row["machine_id"] not in machines:
            yield f"{who}: the row names the Machine {row['machine_id']}, which is not there"
        if row["volume_id"] is None or row["volume_id"] not in volumes:
            yield f"{who}: the row names the volume {row['volume_id']}, which is not there"


def _orphans(books: Books) -> Iterator[str]:
    """What the database cannot name."""
    named = {row["machine_id"] for row in books.rows} | books.known_machines
    yield from (f"orphan Machine {m.id} {m.name}" for m in books.machines if m.id not in named)
    kept = {row["volume_id"] for row in books.rows} | books.known_volumes
    yield from (f"orphan volume {v.id} {v.name}" for v in books.volumes if v.id not in kept)
    apps = {row["app_name"] for row in books.rows} | {books.shared_app} | books.known_apps
    yield from (f"orphan app {app.name}" for app in books.apps if app.name not in apps)


def _audit(books: Books) -> Iterator[str]:
    """Each user's rows lead from one state to the next without a gap, and end where the Instance is."""
    now = {row["user_id"]: row["state"] for row in books.rows}
    stories: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in books.audit:
        # A spare that somebody claimed has states of its own, with rows about the same user.
        if entry["user_id"] is not None and {entry["from_state"], entry["to_state"]} & STATES:
            stories[entry["user_id"]].append(entry)
    for user_id in now.keys() - stories.keys():
        yield f"{user_id}: no audit row at all"
    for user_id, story in stories.items():
        state: str | None = None
        for entry in story:
            if entry["from_state"] != state:
                yield f"{user_id}: audit row {entry['id']} leads from {entry['from_state']}, but it was {state}"
            state = entry["to_state"]
        if state != now.get(user_id):
            yield f"{user_id}: the audit log ends in {state}, the Instance is {now.get(user_id)}"
