"""What next? Every state and every word of Fly has an answer, and no answer is for ever."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.instance import Instance, Isolation, MachineId, State
from provisioner.plan import BY_MACHINE, GOALS, USUAL, Act, Goal, overdue, plan
from provisioner.ports import Machine, MachineState
from tests.parts.instances import THEN, an_instance

SOON = THEN + timedelta(seconds=1)
LATE = THEN + timedelta(minutes=10)
ON_THE_WAY = (State.PROVISIONING, State.WAKING, State.DRAINING, State.SUSPENDING, State.STOPPING)
WAITS = {Act.SETTLE, Act.PROBE, Act.REST}


def machine(state: MachineState, *, host_ok: bool = True) -> Machine:
    return Machine(
        id=MachineId("148e000000000a"),
        name="jarvis-test-0123456789ab",
        state=state,
        region="fra",
        version="01JVERSION",
        private_ip="127.1.2.3",
        volume_id="vol_1",
        image="golden",
        metadata={},
        host_ok=host_ok,
    )


def act(state: State, shown: MachineState | None, now: datetime = SOON, *, host_ok: bool = True, **known: Any) -> Act:
    seen = None if shown is None else machine(shown, host_ok=host_ok)
    return plan(an_instance(state=state, **known), seen, now)


def test_every_word_of_fly_and_every_state_of_ours_has_an_act() -> None:
    assert set(BY_MACHINE) == set(MachineState)
    assert set(GOALS) == set(State)
    for state in State:
        for shown in (None, *MachineState):
            for now in (SOON, LATE):
                assert act(state, shown, now) in Act


def test_the_app_comes_first_then_its_address_then_the_volume_which_decides_the_host() -> None:
    def begin(**known: Any) -> Act:
        return act(State.PROVISIONING, None, **{"volume_id": None, "machine_id": None, **known})

    alone = {"isolation": Isolation.APP}
    assert begin() is Act.MAKE_VOLUME
    assert begin(**alone) is Act.MAKE_APP
    assert begin(**alone, app_id="app1") is Act.ASSIGN_ADDRESS
    assert begin(**alone, app_id="app1", flycast_ip="fdaa::5") is Act.MAKE_VOLUME
    assert begin(volume_id="vol_1") is Act.MAKE_MACHINE


def test_a_machine_that_is_gone_is_forgotten_and_made_anew_on_its_volume() -> None:
    assert act(State.WAKING, None) is Act.FORGET
    assert act(State.WAKING, MachineState.DESTROYED) is Act.FORGET


@pytest.mark.parametrize(
    ("shown", "ready", "suspended", "stopped"),
    [
        (MachineState.CREATED, Act.START, Act.STOP_INSTEAD, Act.STOP),
        (MachineState.STARTED, Act.PROBE, Act.SUSPEND, Act.STOP),
        (MachineState.SUSPENDED, Act.START, Act.DONE, Act.STOP),
        (MachineState.SUSPENDING, Act.START, Act.SETTLE, Act.STOP),
        (MachineState.STOPPED, Act.START, Act.STOP_INSTEAD, Act.DONE),
        (MachineState.FAILED, Act.START, Act.STOP_INSTEAD, Act.DONE),
        (MachineState.LAUNCH_FAILED, Act.REPLACE, Act.STOP_INSTEAD, Act.REPLACE),
        (MachineState.UNKNOWN, Act.SETTLE, Act.SETTLE, Act.SETTLE),
        (None, Act.FORGET, Act.STOP_INSTEAD, Act.FORGET),
    ],
)
def test_acts_on_the_way(shown: MachineState | None, ready: Act, suspended: Act, stopped: Act) -> None:
    assert act(State.PROVISIONING, shown) is act(State.WAKING, shown) is ready
    assert act(State.SUSPENDING, shown) is suspended
    assert act(State.STOPPING, shown) is stopped


@pytest.mark.parametrize(
    ("shown", "serving", "asleep", "queued"),
    [
        (MachineState.STARTED, Act.REST, Act.STOP, Act.STOP),
        (MachineState.SUSPENDED, Act.PUT_DOWN, Act.REST, Act.REST),
        (MachineState.STOPPED, Act.PUT_DOWN, Act.REST, Act.REST),
        (MachineState.FAILED, Act.PUT_DOWN, Act.REST, Act.REST),
        (MachineState.DESTROYED, Act.PUT_DOWN, Act.FORGET, Act.FORGET),
        (None, Act.PUT_DOWN, Act.FORGET, Act.FORGET),
        (MachineState.UNKNOWN, Act.REST, Act.REST, Act.REST),
    ],
)
def test_what_is_at_rest_is_put_right(shown: MachineState | None, serving: Act, asleep: Act, queued: Act) -> None:
    """A Machine that runs behind our back costs money; one that sleeps behind our back serves nobody."""
    assert act(State.ACTIVE, shown) is serving
    assert act(State.SUSPENDED, shown) is act(State.STOPPED, shown) is asleep
    assert act(State.FAILED, shown) is queued


def test_what_was_never_made_is_not_missed() -> None:
    assert act(State.FAILED, None, machine_id=None) is Act.REST
    assert act(State.STOPPED, None, machine_id=None) is Act.REST
    assert act(State.STOPPING, None, machine_id=None) is Act.DONE


def test_whatever_is_to_go_is_destroyed_however_long_it_takes() -> None:
    assert {act(State.DELETING, shown, now) for shown in MachineState for now in (SOON, LATE)} == {Act.DESTROY}
    assert act(State.DELETING, None, LATE) is Act.DONE


@pytest.mark.parametrize("state", ON_THE_WAY)
@pytest.mark.parametrize("shown", [None, *MachineState])
def test_past_its_deadline_nothing_waits_any_longer(state: State, shown: MachineState | None) -> None:
    """Whatever Fly says, a row that has been on its way for too long is moved on."""
    assert act(state, shown, LATE) not in WAITS
    assert overdue(an_instance(state=state), LATE)
    assert not overdue(an_instance(state=state), SOON)


@pytest.mark.parametrize("state", [state for state in State if state not in ON_THE_WAY])
def test_what_rests_has_no_deadline(state: State) -> None:
    assert not overdue(an_instance(state=state), THEN + timedelta(days=9999))


def test_a_wedged_stop_is_ended_by_force_and_one_out_of_reach_is_let_be() -> None:
    assert act(State.STOPPING, MachineState.STOPPING, LATE) is Act.REPLACE
    assert act(State.STOPPING, MachineState.STOPPING, LATE, host_ok=False) is Act.DONE


def test_a_lost_host_is_waited_for_before_the_disk_moves_away() -> None:
    """Restoring costs up to a day of the user's changes, so a short outage must not do it."""
    down = {"host_down_since": THEN, "state_since": THEN + USUAL.host}
    before, after = THEN + USUAL.host - timedelta(seconds=1), THEN + USUAL.host
    for shown in (MachineState.STARTED, MachineState.STOPPED, MachineState.SUSPENDED):
        assert act(State.WAKING, shown, before, host_ok=False, **down) is not Act.MOVE_AWAY
        assert act(State.WAKING, shown, after, host_ok=False, **down) is Act.MOVE_AWAY
        assert act(State.WAKING, shown, after, host_ok=True, **down) is not Act.MOVE_AWAY
    assert act(State.SUSPENDING, MachineState.STARTED, after, host_ok=False, **down) is Act.STOP_INSTEAD


@settings(deadline=None)  # a loaded machine proves nothing about the plan
@given(
    state=st.sampled_from(list(State)),
    shown=st.none() | st.builds(machine, st.sampled_from(list(MachineState)), host_ok=st.booleans()),
    seconds=st.integers(0, 100_000),
    has=st.fixed_dictionaries(
        {
            "volume_id": st.sampled_from([None, "vol_1"]),
            "machine_id": st.sampled_from([None, MachineId("148e000000000a")]),
            "host_down_since": st.sampled_from([None, THEN]),
            "isolation": st.sampled_from(list(Isolation)),
            "app_id": st.sampled_from([None, "app1"]),
            "flycast_ip": st.sampled_from([None, "fdaa::5"]),
        }
    ),
)
def test_it_never_makes_twice_what_is_recorded_nor_destroys_what_serves(
    state: State, shown: Machine | None, seconds: int, has: dict[str, Any]
) -> None:
    instance: Instance = an_instance(state=state, **has)
    if instance.machine_id is None:
        shown = None
    decided = plan(instance, shown, THEN + timedelta(seconds=seconds))
    recorded = {
        Act.MAKE_APP: instance.app_id,
        Act.ASSIGN_ADDRESS: instance.flycast_ip,
        Act.MAKE_VOLUME: instance.volume_id,
        Act.MAKE_MACHINE: instance.machine_id,
    }
    assert recorded.get(decided) is None
    if decided in {Act.START, Act.STOP, Act.SUSPEND, Act.REPLACE, Act.PROBE, Act.DESTROY, Act.MOVE_AWAY}:
        assert shown is not None
    if GOALS[state] is Goal.SERVING:
        assert decided in {Act.REST, Act.PUT_DOWN, Act.HIT}
