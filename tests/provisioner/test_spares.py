"""How many spare Machines, and which to give up: tables, and laws that hold for any history."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import product
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import naming
from provisioner.instance import Guest, Isolation, MachineId, UserId
from provisioner.spares import (
    SPARE_STEPS,
    Model,
    PoolSettings,
    Spare,
    SpareEvent,
    SpareState,
    decide,
    pool_size,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MODEL = Model(isolation=Isolation.MACHINE, region="fra", image="golden@2", guest=Guest(), volume_gb=1)
SETTINGS = PoolSettings(least=2, most=50)
QUIET = [0] * 60
HOURS = st.lists(st.integers(0, 40), min_size=60, max_size=60)


def a_spare(state: SpareState = SpareState.READY, *, image: str = "golden@2", age: timedelta = timedelta(0)) -> Spare:
    id = uuid4()
    return Spare(
        id=id,
        state=state,
        isolation=Isolation.MACHINE,
        app_name="jarvis-machines",
        machine_name=naming.spare_name("test", id),
        region="fra",
        app_id=None,
        flycast_ip=None,
        volume_id="vol_1",
        machine_id=MachineId(id.hex[:14]),
        private_ip="fdaa::3",
        image=image,
        guest=Guest(),
        volume_gb=1,
        user_id=None,
        created_at=NOW - age,
        state_since=NOW - age,
    )


@pytest.mark.parametrize(
    ("arrivals", "current", "size"),
    [
        (QUIET, 0, 2),  # never less than the least
        ([4, 4, 4, 4, 4] + [0] * 55, 2, 29),  # twenty in five minutes, and their scatter
        ([40] * 60, 2, 50),  # never more than the most
        ([0, 0, 1, 0, 4, *[4] * 55], 29, 29),  # it ebbs for a moment: the wave of the last hour may come again
        (QUIET, 29, 2),  # an hour of quiet
        ([0] * 20 + [4] * 4 + [0] * 36, 25, 25),  # a little less than there is: not worth the trouble
    ],
)
def test_the_size_follows_arrivals(arrivals: list[int], current: int, size: int) -> None:
    assert pool_size(arrivals, current, SETTINGS) == size


def test_no_pool_is_no_pool() -> None:
    assert pool_size([40] * 60, 7, PoolSettings(least=0, most=0)) == 0


@given(HOURS, st.integers(0, 100))
def test_it_keeps_within_its_bounds_and_to_its_word(arrivals: list[int], current: int) -> None:
    size = pool_size(arrivals, current, SETTINGS)
    assert SETTINGS.least <= size <= SETTINGS.most
    assert pool_size(arrivals, size, SETTINGS) == size  # asked again it says the same


@given(HOURS)
def test_more_visits_never_mean_fewer_spares(arrivals: list[int]) -> None:
    more = [visits + 1 for visits in arrivals]
    assert pool_size(more, 0, SETTINGS) >= pool_size(arrivals, 0, SETTINGS)


def test_what_is_missing_is_made_and_what_is_being_made_counts() -> None:
    spares = [a_spare(), a_spare(SpareState.MAKING), a_spare(SpareState.DOOMED), a_spare(SpareState.CLAIMED)]
    decision = decide(spares, target=4, model=MODEL, now=NOW, settings=SETTINGS)
    assert (decision.make, decision.discard) == (2, [])


def test_of_too_many_the_oldest_go() -> None:
    spares = [a_spare(age=timedelta(hours=hours)) for hours in (1, 3, 2)]
    decision = decide(spares, target=2, model=MODEL, now=NOW, settings=SETTINGS)
    assert (decision.make, decision.discard) == (0, [(spares[1], "too many")])


@pytest.mark.parametrize("old", [{"image": "golden@1"}, {"age": timedelta(days=8)}], ids=["image", "age"])
def test_an_old_one_serves_until_its_successor_is_ready(old: dict[str, object]) -> None:
    """A new golden image never leaves the pool empty."""
    passing = a_spare(**old)  # type: ignore[arg-type]
    before = decide([passing], target=1, model=MODEL, now=NOW, settings=SETTINGS)
    assert (before.make, before.discard) == (1, [])
    meanwhile = decide([passing, a_spare(SpareState.MAKING)], target=1, model=MODEL, now=NOW, settings=SETTINGS)
    assert (meanwhile.make, meanwhile.discard) == (0, [])
    after = decide([passing, a_spare()], target=1, model=MODEL, now=NOW, settings=SETTINGS)
    assert (after.make, [spare for spare, _ in after.discard]) == (0, [passing])


@given(
    st.lists(st.sampled_from(list(product(SpareState, ["golden@1", "golden@2"], [0, 8]))), max_size=12),
    st.integers(0, 6),
)
def test_whatever_there_is_the_pool_gets_there(kinds: list[tuple[SpareState, str, int]], target: int) -> None:
    """Done again and again, with everything made becoming ready, it comes to rest with `target` of the right kind."""
    spares = [a_spare(state, image=image, age=timedelta(days=days)) for state, image, days in kinds]
    for _ in range(4):
        decision = decide(spares, target=target, model=MODEL, now=NOW, settings=SETTINGS)
        gone = {spare.id for spare, _ in decision.discard}
        ready_before = sum(s.state is SpareState.READY for s in spares)
        assert ready_before - len(gone) >= min(ready_before, target)  # never below, on the way there
        spares = [s for s in spares if s.id not in gone]
        spares = [
            replace(s, state=SpareState.READY, state_since=NOW) if s.state is SpareState.MAKING else s for s in spares
        ]
        spares += [a_spare() for _ in range(decision.make)]
    ready = [s for s in spares if s.state is SpareState.READY]
    assert len(ready) == target
    assert all(s.image == "golden@2" for s in ready)


def test_what_was_somebodys_never_comes_back() -> None:
    """From CLAIMED no step leads to READY, on no way whatever."""
    reached, new = set(), {SpareState.CLAIMED}
    while new:
        reached |= new
        new = {to for (state, _), to in SPARE_STEPS.items() if state in new} - reached
    assert reached == {SpareState.CLAIMED, SpareState.DOOMED}
    assert {event for _, event in SPARE_STEPS} == set(SpareEvent)


def test_the_database_knows_the_same_states() -> None:
    law = (files("sql") / "schema.sql").read_text().partition("constraint spares_state_known check (state in (")[2]
    assert law.partition("))")[0] == ", ".join(f"'{state}'" for state in SpareState)


def test_a_spare_is_known_by_its_name_and_never_confused_with_a_users_machine() -> None:
    user = UserId(UUID("aaaaaaaa-0000-4000-8000-000000000001"))
    assert naming.is_spare(naming.spare_name("dev", uuid4()))
    assert not any(naming.is_spare(naming.machine_name(env, user)) for env in ("dev", "spare"))
