"""The story of an Instance: from dry rows to sentences."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from provisioner.audit import Entry
from provisioner.idle import Vigil
from provisioner.instance import State
from provisioner.offer import shipped
from provisioner.timeline import Kind, moments, outlook, who
from tests.parts.instances import THEN, an_instance

TIMES = replace(
    shipped().plans["free"],
    suspend_after=timedelta(minutes=15),
    stop_after=timedelta(days=7),
    awake_cap=timedelta(hours=12),
)


def entries(*rows: tuple[int, str, str, str, str]) -> list[Entry]:
    """(minutes after THEN, actor, action, to_state, detail), oldest first."""
    return [
        Entry(id=n, at=THEN + timedelta(minutes=at), actor=actor, action=action, to_state=state or None, detail=detail)
        for n, (at, actor, action, state, detail) in enumerate(rows, 1)
    ]


LIFE = entries(
    (0, "visit", "create", "provisioning", "{}"),
    (1, "visit", "ready", "active", '{"path": "provision", "steps": {"boot": 1.5, "app": 0.5}}'),
    (20, "sweeper", "drain", "draining", '{"why": "quiet for 15 min"}'),
    (20, "visit", "hit", "active", "{}"),
    (40, "sweeper", "drain", "draining", '{"why": "quiet for 15 min"}'),
    (40, "sweeper", "suspend", "suspending", '{"why": "quiet for 15 min"}'),
    (41, "sweeper", "asleep", "suspended", "{}"),
    (42, "token_made", "token_made", "", "{}"),
    (50, "visit", "wake", "waking", "{}"),
    (50, "visit", "ready", "active", '{"path": "resume", "steps": {"resume": 0.4}}'),
    (60, "operator:grace", "extend", "", f'{{"until": "{(THEN + timedelta(hours=3)).isoformat()}"}}'),
    (70, "operator:grace", "drain", "draining", '{"why": "asked for"}'),
    (70, "operator:grace", "stop", "stopping", '{"why": "asked for"}'),
    (71, "operator:grace", "asleep", "stopped", "{}"),
    (80, "visit", "wake", "waking", "{}"),
    (82, "visit", "fail", "stopped", "{}"),
)


def test_a_life_reads_like_one() -> None:
    vigil = Vigil(reason="an open stream", first_at=THEN + timedelta(minutes=16), last_at=THEN + timedelta(minutes=19))
    assert [(moment.kind, moment.text) for moment in moments(LIFE, [vigil])] == [
        (Kind.FAILED, "Did not wake."),
        (Kind.STOPPED, "Stopped by the operator."),
        (Kind.EXTENDED, "To be kept awake for a while, asked for by the operator."),
        (Kind.WOKE, "Woke up where it had stopped in 0.4 s, for a visit."),
        (Kind.SUSPENDED, "Put to sleep by the gateway: quiet for 15 min."),
        (Kind.KEPT_AWAKE, "Kept awake by an open stream."),
        (Kind.MADE, "Made in 2.0 s, for a visit."),
    ]


def test_half_a_life_is_no_error() -> None:
    """The log is read from its end; where the page begins, something had begun before."""
    for start in range(len(LIFE)):
        told = moments(LIFE[start:], [])
        assert all(moment.text for moment in told)


@pytest.mark.parametrize(
    ("state", "vigil_ago", "quiet_for", "sleeps_in", "kept"),
    [
        (State.ACTIVE, None, 5, 10, None),
        (State.ACTIVE, 1, 20, -5, "an open stream"),
        (State.ACTIVE, 9, 20, -5, None),  # an old vigil says nothing about now
        (State.ACTIVE, 1, 5, 10, None),  # not due: nothing has to keep it awake
        (State.STOPPED, None, 20, None, None),
    ],
)
def test_what_comes_next(
    state: State, vigil_ago: int | None, quiet_for: int, sleeps_in: int | None, kept: str | None
) -> None:
    now = THEN + timedelta(minutes=quiet_for)
    vigils = []
    if vigil_ago is not None:
        at = now - timedelta(minutes=vigil_ago)
        vigils = [Vigil(reason="an open stream", first_at=at, last_at=at)]
    told = outlook(an_instance(state=state), [], vigils, now=now, times=TIMES, keep_awake_until=None, touched=None)
    assert told.sleeps_at == (None if sleeps_in is None else now + timedelta(minutes=sleeps_in))
    assert told.kept_awake_by == kept
    assert told.may_extend_until == now + timedelta(hours=12)


def test_a_suspended_one_knows_when_its_memory_goes() -> None:
    told = outlook(
        an_instance(state=State.SUSPENDED), [], [], now=THEN, times=TIMES, keep_awake_until=None, touched=None
    )
    assert (told.sleeps_at, told.stops_at) == (None, THEN + timedelta(days=7))


def test_flapping_shows() -> None:
    rows = [
        row
        for n in range(3)
        for row in ((10 * n, "sweeper", "asleep", "suspended", "{}"), (10 * n + 1, "visit", "wake", "waking", "{}"))
    ]
    told = outlook(
        an_instance(),
        entries(*rows),
        [],
        now=THEN + timedelta(hours=1),
        times=TIMES,
        keep_awake_until=None,
        touched=None,
    )
    assert told.flapping is not None
    assert told.flapping.naps == 3


@pytest.mark.parametrize(
    ("actor", "name"),
    [("operator:grace", "the operator"), ("visit", "a visit"), ("user:x", "its owner"), ("martian", "martian")],
)
def test_who_did_it_in_words(actor: str, name: str) -> None:
    assert who(actor) == name


def test_times_are_kept_as_they_are() -> None:
    assert moments(LIFE, [])[0].at == datetime(2026, 1, 1, 1, 22, tzinfo=UTC)
