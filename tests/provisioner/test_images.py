"""Which image whom, and what becomes of a rollout: tables, and laws that hold for any user."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.images import (
    OPEN,
    ROLLOUT_STEPS,
    Images,
    Rollout,
    RolloutEvent,
    RolloutState,
    Tally,
    bucket,
    judge,
)
from provisioner.instance import UserId
from tests.parts.instances import an_instance

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD, NEW = "golden@sha256:old", "golden@sha256:new"
S, E = RolloutState, RolloutEvent


def a_rollout(state: RolloutState = S.RUNNING, **given: Any) -> Rollout:
    values: dict[str, Any] = {
        "id": UUID("dddddddd-0000-4000-8000-000000000004"),
        "state": state,
        "image": NEW,
        "golden_image": OLD,
        "base_image": OLD,
        "steps": (1, 10, 50, 100),
        "step": 0,
        "tolerance": 0.1,
        "proof": 3,
        "soak": timedelta(minutes=10),
        "hurry": False,
        "actor": "grace",
        "why": "",
        "created_at": NOW,
        "state_since": NOW,
        "step_since": NOW - timedelta(hours=1),
    }
    return Rollout(**{**values, **given})


def images(rollout: Rollout | None, golden: str = OLD) -> Images:
    known = Images(golden)
    known.newest = rollout
    return known


@pytest.mark.parametrize(
    ("state", "unmoved", "moved", "base"),
    [
        (S.RUNNING, NEW, NEW, OLD),
        (S.PAUSED, OLD, NEW, OLD),
        (S.HALTED, OLD, NEW, OLD),
        (S.DONE, NEW, NEW, NEW),
        (S.RETURNING, OLD, OLD, OLD),
        (S.RETURNED, OLD, OLD, OLD),
    ],
)
def test_which_image_is_wanted(state: RolloutState, unmoved: str, moved: str, base: str) -> None:
    known = images(a_rollout(state, step=3))
    assert known.wanted(an_instance(image=OLD)) == unmoved
    assert known.wanted(an_instance(image=NEW, former_image=OLD)) == moved
    assert known.base == base


def test_who_failed_goes_back_alone_and_is_not_moved_again() -> None:
    ada = an_instance(image=NEW, former_image=OLD)
    known = images(a_rollout(step=3))
    known.failed(ada.user_id)
    assert known.wanted(ada) == OLD
    assert known.wanted(replace(ada, image=OLD, former_image=NEW)) == OLD


def test_without_a_rollout_everybody_keeps_what_they_have() -> None:
    assert images(None).wanted(an_instance(image="ancient")) == "ancient"
    assert images(None).base == OLD


def test_a_new_golden_image_in_the_settings_wins_over_older_rollouts() -> None:
    assert images(a_rollout(S.DONE), golden="golden@sha256:newest").base == "golden@sha256:newest"


def test_back_leads_to_what_each_one_had() -> None:
    """Not everybody came from the same image."""
    known = images(a_rollout(S.RETURNING))
    assert known.wanted(an_instance(image=NEW, former_image="ancient")) == "ancient"
    assert known.wanted(an_instance(image=NEW, former_image=None)) == OLD  # made while it was done


@settings(deadline=None)  # the first one pays for imports
@given(st.uuids(), st.uuids())
def test_a_cohort_only_grows(rollout_id: UUID, user_id: UUID) -> None:
    user = an_instance(user_id=UserId(user_id), image=OLD)
    wanted = [images(a_rollout(id=rollout_id, step=step)).wanted(user) for step in range(4)]
    assert wanted == sorted(wanted, reverse=True)  # old… then new…
    assert wanted[-1] == NEW
    assert 0 <= bucket(rollout_id, UserId(user_id)) < 10_000


def test_cohorts_are_as_large_as_they_say() -> None:
    rollout = a_rollout(step=1)
    known = images(rollout)
    users = [UserId(UUID(int=n)) for n in range(5_000)]
    moved = sum(known.wanted(an_instance(user_id=user, image=OLD)) == NEW for user in users)
    assert 400 < moved < 600  # a tenth


def tally(ready: int = 0, failed: int = 0, *, cohort: int = 100, left: int = 50) -> Tally:
    return Tally(ready=ready, failed=failed, moved=0, cohort=cohort, left=left)


@pytest.mark.parametrize(
    ("rollout", "counted", "event"),
    [
        (a_rollout(), tally(), None),
        (a_rollout(), tally(2), None),
        (a_rollout(), tally(3), E.ADVANCE),
        (a_rollout(step_since=NOW), tally(3), None),  # let it soak
        (a_rollout(), tally(1, cohort=1), E.ADVANCE),  # there is nobody else to prove it by
        (a_rollout(), tally(0, cohort=0), E.ADVANCE),
        (a_rollout(step=3), tally(9), E.FINISH),
        (a_rollout(), tally(0, 1), E.HALT),
        (a_rollout(step_since=NOW), tally(2, 1), E.HALT),  # at once
        (a_rollout(), tally(10, 1), E.ADVANCE),  # one in eleven is borne
        (a_rollout(), tally(8, 1), E.HALT),
        (a_rollout(tolerance=0.0), tally(1_000, 1), E.HALT),
        (a_rollout(S.PAUSED), tally(0, 9), None),
        (a_rollout(S.HALTED), tally(9), None),
        (a_rollout(S.DONE), tally(9), None),
        (a_rollout(S.RETURNING), tally(left=1), None),
        (a_rollout(S.RETURNING), tally(left=0), E.FINISH),
    ],
)
def test_what_becomes_of_a_rollout(rollout: Rollout, counted: Tally, event: RolloutEvent | None) -> None:
    verdict = judge(rollout, counted, NOW)
    assert (verdict and verdict[0]) == event
    if event is not None:
        assert (rollout.state, event) in ROLLOUT_STEPS


def test_from_everywhere_but_the_end_there_is_a_way_back() -> None:
    assert {state for state, event in ROLLOUT_STEPS if event is E.BACK} == OPEN | {S.DONE}


def test_the_database_knows_the_same_states() -> None:
    law = (files("sql") / "schema.sql").read_text().partition("constraint rollouts_state_known check (state in (")[2]
    assert law.partition("))")[0] == ", ".join(f"'{state}'" for state in S)
