"""The life of an Instance is a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.instance import STEPS, Event, IllegalStep, State, step


@given(st.sampled_from(State), st.sampled_from(Event))
def test_every_pair_is_a_row_or_refused(state: State, event: Event) -> None:
    if (state, event) in STEPS:
        assert step(state, event) is STEPS[state, event]
    else:
        with pytest.raises(IllegalStep):
            step(state, event)


def test_every_state_can_be_reached_and_left() -> None:
    """No Instance is ever stuck: from any state there is a way to ACTIVE, except for one that is being deleted."""
    assert set(STEPS.values()) | {State.PROVISIONING} == set(State)
    reaches_active = {State.ACTIVE}
    while more := {s for (s, _), to in STEPS.items() if to in reaches_active} - reaches_active:
        reaches_active |= more
    assert reaches_active == set(State) - {State.DELETING}


def test_deletion_is_possible_from_everywhere_and_final() -> None:
    assert all((state, Event.DELETE) in STEPS for state in State if state is not State.DELETING)
    assert not any(state is State.DELETING for state, _ in STEPS)


def test_nothing_sleeps_without_being_drained_first() -> None:
    """A Machine is never put to sleep straight from serving."""
    sleepers = {State.SUSPENDING, State.STOPPING}
    assert not [(s, e) for (s, e), to in STEPS.items() if s is State.ACTIVE and to in sleepers]
