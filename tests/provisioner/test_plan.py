"""What next? Every state of Fly has an answer, and every answer leads on."""

import pytest

from provisioner.instance import MachineId
from provisioner.plan import BY_MACHINE, Act, plan
from provisioner.ports import Machine, MachineState
from tests.parts.instances import an_instance


def machine(state: MachineState) -> Machine:
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
        host_ok=True,
    )


def test_every_word_of_fly_has_an_act() -> None:
    assert set(BY_MACHINE) == set(MachineState)


def test_the_volume_comes_first_because_it_decides_the_host() -> None:
    assert plan(an_instance(volume_id=None, machine_id=None), None) is Act.MAKE_VOLUME
    assert plan(an_instance(volume_id="vol_1", machine_id=None), None) is Act.MAKE_MACHINE


def test_a_machine_that_is_gone_is_forgotten_and_made_anew_on_its_volume() -> None:
    assert plan(an_instance(), None) is Act.FORGET


@pytest.mark.parametrize(
    ("state", "act"),
    [
        (MachineState.STARTED, Act.PROBE),
        (MachineState.SUSPENDED, Act.START),
        (MachineState.SUSPENDING, Act.START),
        (MachineState.STOPPED, Act.START),
        (MachineState.FAILED, Act.START),
        (MachineState.LAUNCH_FAILED, Act.REPLACE),
        (MachineState.DESTROYED, Act.FORGET),
        (MachineState.UNKNOWN, Act.SETTLE),
    ],
)
def test_acts(state: MachineState, act: Act) -> None:
    assert plan(an_instance(), machine(state)) is act
