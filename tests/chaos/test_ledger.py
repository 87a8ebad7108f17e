"""What counts as settled, and what is told of anything else."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.chaos.ledger import Books, Thing, complaints, unsettled
from tests.chaos.run import bugs

ADA, INSTANCE = UUID(int=1), UUID(int=2)
ROW: dict[str, Any] = {
    "user_id": ADA,
    "id": INSTANCE,
    "email": "ada@example.com",
    "state": "active",
    "state_since": datetime(2026, 1, 1, tzinfo=UTC),
    "app_name": "jarvis",
    "machine_id": "m1",
    "volume_id": "v1",
}


def entry(number: int, before: str | None, after: str | None) -> dict[str, Any]:
    return {"id": number, "user_id": ADA, "from_state": before, "to_state": after}


AUDIT = [entry(1, None, "provisioning"), entry(2, "provisioning", "active")]
GOOD = Books(
    rows=[ROW],
    audit=AUDIT,
    machines=[Thing(id="m1", name="jarvis-ada", instance=str(INSTANCE))],
    volumes=[Thing(id="v1", name="jarvis_ada")],
)
SECOND = Thing(id="m2", name="jarvis-ada-2", instance=str(INSTANCE))


def test_books_that_are_in_order() -> None:
    assert complaints(GOOD) == []
    gone = [*AUDIT, entry(3, "active", "deleting"), entry(4, "deleting", None)]
    assert complaints(Books(rows=[], audit=gone, machines=[], volumes=[])) == []
    assert unsettled([ROW]) == []


@pytest.mark.parametrize(
    ("books", "told"),
    [
        (replace(GOOD, rows=[{**ROW, "state": "waking"}]), "stuck in waking"),
        (replace(GOOD, machines=[*GOOD.machines, SECOND]), "2 Machines"),
        (replace(GOOD, machines=[]), "names the Machine m1, which is not there"),
        (replace(GOOD, volumes=[]), "names the volume v1, which is not there"),
        (replace(GOOD, machines=[*GOOD.machines, Thing(id="m9", name="lost")]), "orphan Machine m9"),
        (replace(GOOD, volumes=[*GOOD.volumes, Thing(id="v9", name="lost")]), "orphan volume v9"),
        (replace(GOOD, apps=[Thing(id="a", name="nobody")]), "orphan app nobody"),
        (replace(GOOD, audit=[]), "no audit row"),
        (replace(GOOD, audit=AUDIT[:1]), "ends in provisioning, the Instance is active"),
        (replace(GOOD, audit=[AUDIT[0], entry(2, "waking", "active")]), "leads from waking, but it was provisioning"),
        (replace(GOOD, rows=[], machines=[], volumes=[]), "the audit log ends in active, the Instance is None"),
    ],
)
def test_what_is_complained_of(books: Books, told: str) -> None:
    assert any(told in complaint for complaint in complaints(books)), complaints(books)


def test_what_the_database_names_elsewhere_is_no_orphan() -> None:
    spare = Thing(id="s1", name="spare")
    with_spare = replace(GOOD, machines=[*GOOD.machines, spare], volumes=[*GOOD.volumes, spare])
    assert len(complaints(with_spare)) == 2
    assert complaints(replace(with_spare, known_machines=frozenset({"s1"}), known_volumes=frozenset({"s1"}))) == []


def test_what_a_replica_calls_an_error_is_a_finding() -> None:
    log = (
        "2026-11-25T16:28:36Z [info     ] fly_called   status=200\n"
        "2026-11-25T16:28:37Z [error    ] bring_up_broke   user_id=1\nTraceback (most recent call last):\n"
        "  File …\nTypeError: no\n2026-11-25T16:28:38Z [error    ] bring_up_broke   user_id=2\n"
    )
    assert bugs(log) == ["bring_up_broke: TypeError: no"]
    assert bugs("") == []


def test_a_spares_own_states_are_no_steps_of_the_instance() -> None:
    spare = [entry(3, "ready", "claimed"), entry(4, "claimed", "doomed"), entry(5, "doomed", None)]
    assert complaints(replace(GOOD, audit=[*AUDIT, *spare])) == []
