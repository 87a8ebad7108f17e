"""Replicas die between any two calls, Fly fails before or after it acted, Machines and hosts go: the laws hold.

The code is the real one (lifecycle, arrival, bring-up, making, plan, put-down); Fly and Postgres are models, so that
thousands of lives take seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from provisioner import naming
from provisioner.errors import (
    CloudBroken,
    CloudError,
    CloudSilent,
    CloudUnreachable,
    NoCapacity,
    ProvisionerError,
    RateLimited,
    Scope,
)
from provisioner.guard_keys import GuardKeys
from provisioner.images import Images
from provisioner.instance import Instance, Isolation, State, UserId
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.parts import LifecycleSettings, Parts
from provisioner.ports import MachineState
from tests.parts.clock import ManualClock
from tests.parts.model import Life, ModelFly, ModelStore, Mortal

ADA = Visitor(UserId(UUID("aaaaaaaa-0000-4000-8000-000000000001")), "ada@example.com")
ACTIONS = [
    *("create_app", "assign_address", "create_volume", "create_machine"),
    *("start", "stop", "suspend", "destroy", "delete_volume", "delete_app"),
]
FAULTS: dict[str, Callable[[], CloudError]] = {
    "lost": lambda: CloudSilent("no answer"),
    "broken": lambda: CloudBroken("500"),
    "unreachable": lambda: CloudUnreachable("refused"),
    "too often": lambda: RateLimited("429", retry_after=2.0),
    **{f"full {scope}": lambda scope=scope: NoCapacity("full", scope=scope) for scope in Scope},  # type: ignore[misc]
}
"""By name. What Fly says before it acted; the first two also after."""


class NoTraffic:
    """`provisioner.parts.Traffic` of a replica that nobody asks anything."""

    def busy(self, user_id: UserId) -> bool:
        return False

    def last_touch(self, user_id: UserId) -> None:
        return None

    async def end(self, instance: Instance) -> None:
        pass


class Lives(RuleBasedStateMachine):
    """One user, any number of replicas one after the other."""

    @initialize(isolation=st.sampled_from(list(Isolation)))
    def begin(self, isolation: Isolation) -> None:
        self.runner = asyncio.Runner()
        self.clock, self.fly = ManualClock(), ModelFly()
        self.store = ModelStore(self.clock)
        self.fly.trouble = self._trouble
        self.faults: list[tuple[str, str, str]] = []
        self.replicas = count(1)
        self.settings = LifecycleSettings(
            env="test",
            deployment="model",
            app_name="shared",
            region="fra",
            fallback_regions=("ams",),
            isolation=isolation,
            queue_tries=3,
        )

    # What may happen --------------------------------------------------------------------------------------------

    dying = st.one_of(st.none(), st.integers(1, 25))

    @rule(dies=dying, after=st.booleans(), doubt=st.booleans())
    def visit(self, dies: int | None, *, after: bool, doubt: bool) -> None:
        self._live(lambda life: life.begin(ADA, doubt=doubt, force=True).outcome, dies, after=after)

    @rule(dies=dying, after=st.booleans(), goal=st.sampled_from(["suspend", "stop"]))
    def put_down(self, dies: int | None, goal: str, *, after: bool) -> None:
        self._live(lambda life: getattr(life, goal)(ADA.user_id, actor="sweeper"), dies, after=after)

    @rule(dies=dying, after=st.booleans())
    def destroy(self, dies: int | None, *, after: bool) -> None:
        self._live(lambda life: life.destroy(ADA.user_id, actor="eraser"), dies, after=after)

    @rule(dies=dying, after=st.booleans())
    def recover(self, dies: int | None, *, after: bool) -> None:
        self._live(self._recovered, dies, after=after)

    @rule(
        action=st.sampled_from(ACTIONS),
        name=st.sampled_from(sorted(FAULTS)),
        when=st.sampled_from(["before", "after"]),
        times=st.integers(1, 4),
    )
    def fly_will_fail(self, action: str, name: str, when: str, times: int) -> None:
        self.faults += [(action, "before" if name not in ("lost", "broken") else when, name)] * times

    @rule(state=st.sampled_from([MachineState.STOPPED, MachineState.SUSPENDED, MachineState.FAILED, None]))
    def the_machine_goes_its_own_way(self, state: MachineState | None) -> None:
        for machine_id in list(self.fly.machines):
            if state is None:
                del self.fly.machines[machine_id]
            else:
                self.fly.put(machine_id, state)

    @rule(ok=st.booleans())
    def the_host_comes_and_goes(self, *, ok: bool) -> None:
        self.fly.host_ok = ok

    @rule(minutes=st.integers(1, 12))
    def time_passes(self, minutes: int) -> None:
        self.runner.run(self.clock.advance(minutes=minutes))

    # What always holds ------------------------------------------------------------------------------------------

    @invariant()
    def there_is_one_machine_at_most(self) -> None:
        assert len(self.fly.machines) <= 1

    @invariant()
    def the_record_names_whatever_is_at_fly(self) -> None:
        row = self.store.rows.get(ADA.user_id)
        there = [*self.fly.machines.values(), *self.fly.volumes.values()]
        if row is None:
            assert (there, self.fly.apps) == ([], {})
            return
        assert {app for app, _ in there} <= {row.app_name}
        assert set(self.fly.apps) <= {row.app_name}
        assert {machine.name for _, machine in self.fly.machines.values()} <= {row.machine_name}
        assert {volume.name for _, volume in self.fly.volumes.values()} <= {naming.volume_name(ADA.user_id)}
        assert row.volume_id is None or row.volume_id in self.fly.volumes
        assert {kept.volume_id for kept in self.store.kept} <= set(self.fly.volumes)

    def teardown(self) -> None:
        """When the trouble is over, the user is served, and then all of it can go."""
        self.faults.clear()
        self.fly.host_ok = True
        self.runner.run(self.clock.advance(minutes=1))
        for _ in range(3):  # the first may end what was left half done, or go past a deadline
            self._live(self._recovered)
            self._live(lambda life: life.begin(ADA, doubt=True, force=True).outcome)
        row = self.store.rows[ADA.user_id]
        assert row.state is State.ACTIVE
        ((app, machine),) = self.fly.machines.values()
        assert (machine.id, app, machine.volume_id) == (row.machine_id, row.app_name, row.volume_id)
        assert machine.state is MachineState.STARTED
        assert ADA.user_id not in self.store.queue
        self._live(lambda life: life.destroy(ADA.user_id, actor="eraser"))
        self.there_is_one_machine_at_most()
        self.the_record_names_whatever_is_at_fly()
        assert self.store.rows == {}
        self.runner.close()

    # How --------------------------------------------------------------------------------------------------------

    def _trouble(self, action: str, when: str) -> None:
        for fault in self.faults:
            if fault[:2] == (action, when):
                self.faults.remove(fault)
                raise FAULTS[fault[2]]()

    async def _recovered(self, lifecycle: Lifecycle) -> None:
        row = self.store.rows.get(ADA.user_id)
        if row is None:
            return
        await lifecycle.recover(row)
        job = lifecycle.job(row.user_id)
        if job is not None:
            await asyncio.wait({job.outcome})

    def _live(
        self, does: Callable[[Lifecycle], Awaitable[Any]], dies: int | None = None, *, after: bool = False
    ) -> None:
        self.runner.run(self._lived(does, Life(dies, after)))

    async def _lived(self, does: Callable[[Lifecycle], Awaitable[Any]], life: Life) -> None:
        """A replica does one thing, until it is done or the replica is dead."""
        parts = Parts(
            cloud=cast("Any", Mortal(self.fly, life)),
            store=cast("Any", Mortal(self.store, life)),
            probe=self.fly,
            clock=self.clock,
            keys=GuardKeys({"k1": b"k" * 32}),
            traffic=NoTraffic(),
            images=Images("golden"),
            rollouts=cast("Any", None),  # none is under way, so nobody asks
            settings=self.settings,
            replica=f"replica-{next(self.replicas)}",
        )
        async with Lifecycle(parts) as lifecycle:
            work = asyncio.ensure_future(does(lifecycle))
            for _ in range(20_000):
                for _ in range(10):  # nothing in a model takes time, so this is far enough to the next sleep
                    await asyncio.sleep(0)
                if work.done() or life.dead.is_set():
                    break
                await self.clock.advance(seconds=0.1)
            assert work.done() or life.dead.is_set(), "neither done nor dead after half an hour"
            if work.done() and not work.cancelled() and (failed := work.exception()) is not None:
                assert isinstance(failed, ProvisionerError), repr(failed)
            work.cancel()


Lives.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLives = Lives.TestCase


@pytest.mark.parametrize("isolation", list(Isolation))
@pytest.mark.parametrize("fault", [name for name in FAULTS if name.startswith("full")])
@pytest.mark.parametrize("action", ["create_volume", "create_machine"])
def test_a_death_anywhere_on_the_way_out_of_trouble(action: str, fault: str, isolation: Isolation) -> None:
    """Chance seldom meets these: the way out of a full region is short, and a replica must die on that very step."""
    for dies in range(1, 26):
        lives = Lives()
        lives.begin(isolation)
        lives.fly_will_fail(action, fault, "before", 1)
        lives.visit(dies, after=True, doubt=False)
        lives.there_is_one_machine_at_most()
        lives.the_record_names_whatever_is_at_fly()
        lives.teardown()


@pytest.mark.parametrize("isolation", list(Isolation))
def test_a_death_anywhere_while_a_disk_moves_leaves_no_copy_of_it(isolation: Isolation) -> None:
    for dies in range(1, 26):
        lives = Lives()
        lives.begin(isolation)
        lives.visit(None, after=False, doubt=False)
        lives.put_down(None, "stop", after=False)
        lives.the_machine_goes_its_own_way(None)
        lives.fly_will_fail("create_machine", "full volume_host", "before", 1)
        lives.visit(dies, after=True, doubt=False)
        lives.faults.clear()
        lives.visit(None, after=False, doubt=False)
        row = lives.store.rows[ADA.user_id]
        assert row.state is State.ACTIVE
        assert set(lives.fly.volumes) == {row.volume_id, *(kept.volume_id for kept in lives.store.kept)}
        lives.teardown()
