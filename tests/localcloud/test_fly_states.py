"""The life of a Machine as a table: what Fly's diagram shows is there, and nothing that would wedge it."""

import pytest

from localcloud.fly.states import RESTING, STEPS, Event, IllegalStep, State, step

DIAGRAM = [
    "created start starting",
    "starting booted started",
    "starting broke failed",
    "starting gave_up launch_failed",
    "launch_failed gone destroyed",
    "started stop stopping",
    "started suspend suspending",
    "suspending frozen suspended",
    "suspending start started",
    "started restart restarting",
    "restarting start starting",
    "started update updating",
    "stopping exited stopped",
    "stopping broke failed",
    "stopped start starting",
    "stopped update updating",
    "stopped destroy destroying",
    "suspended start starting",
    "suspended stop stopping",
    "suspended update updating",
    "suspended destroy destroying",
    "failed start starting",
    "failed stop stopping",
    "failed update updating",
    "failed destroy destroying",
    "created stop stopping",
    "updating start starting",
    "updating updated stopped",
    "updating unlaunched created",
    "destroying gone destroyed",
]


@pytest.mark.parametrize("row", DIAGRAM)
def test_what_fly_documents_is_legal(row: str) -> None:
    before, event, after = row.split()
    assert step(State(before), Event(event)) is State(after)


@pytest.mark.parametrize(
    "pair", [(s, e) for s in State for e in Event if (s, e) not in STEPS], ids=lambda pair: f"{pair[0]}-{pair[1]}"
)
def test_all_else_is_refused(pair: tuple[State, Event]) -> None:
    with pytest.raises(IllegalStep):
        step(*pair)


@pytest.mark.parametrize("state", [state for state in State if state not in RESTING])
def test_no_machine_hangs_for_ever(state: State) -> None:
    """From every transitional state something other than a forced delete leads on."""
    assert any(before is state and event is not Event.KILL for before, event in STEPS)


@pytest.mark.parametrize("state", [s for s in State if s not in (State.DESTROYING, State.DESTROYED)])
def test_force_ends_anything(state: State) -> None:
    assert step(state, Event.KILL) is State.DESTROYING


def test_a_destroyed_machine_stays_destroyed() -> None:
    assert not [event for state, event in STEPS if state is State.DESTROYED]
