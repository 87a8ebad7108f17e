"""The warm pool: real Postgres, local Fly, and spares with a real Guard that waits for its claim."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest

from localcloud.database import Database
from provisioner import naming
from provisioner.claim import claim
from provisioner.images import Images
from provisioner.instance import Instance, Isolation, State
from provisioner.offer import shipped
from provisioner.pool import Pool
from provisioner.ports import MachineState
from provisioner.spares import Model, PoolSettings, Spare, SpareEvent, SpareState
from provisioner.tasks import Tasks
from tests.parts.back import APP, SETTINGS, Back, another_replica, back_of_house, somebody
from tests.parts.plain_http import NO_TLS
from tests.parts.system import until

POOL = PoolSettings(least=2, most=2, check_every=timedelta(0), claim_within=timedelta(seconds=5))


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path, pool=POOL) as back:
        yield back


def pool_of(back: Back) -> Pool:
    return Pool(back.parts, back.spares, shipped().prices, told=lambda target, ready: None)


async def rounds(pool: Pool, done: Callable[[], Awaitable[bool]]) -> None:
    """Rounds of the pool until `done()`."""
    async with Tasks() as work:

        async def done_or_one_more() -> bool:
            if not (over := await done()):
                await pool.round(work)
            return over

        await until(done_or_one_more, within=30, what=done.__name__)


async def spares(back: Back, *states: SpareState) -> list[Spare]:
    return [spare for spare in await back.spares.all_spares() if spare.state in (states or SpareState)]


async def filled(back: Back, pool: Pool | None = None) -> list[Spare]:
    """The READY ones in the order in which they are claimed, when there are as many as there should be."""

    async def full() -> bool:
        return len(await spares(back, SpareState.READY)) == back.parts.pool.least

    await rounds(pool or pool_of(back), full)
    return sorted(await spares(back, SpareState.READY), key=lambda spare: spare.state_since)


async def environment(back: Back, instance: Instance) -> dict[str, Any]:
    assert instance.private_ip is not None
    where = back.parts.endpoint(instance.private_ip)
    word = back.parts.keys.assertion(instance, now=back.parts.clock.now())
    async with httpx.AsyncClient(verify=NO_TLS) as http:
        answer = await http.get(f"http://{where.host}:{where.port}/env", headers={"X-Jarvis-Assertion": word})
    told: dict[str, Any] = answer.json()
    return told


async def test_a_first_visit_takes_a_spare_and_makes_nothing(back: Back) -> None:
    """Signing up takes as long as waking up."""
    ready = await filled(back)
    for spare in ready:
        assert spare.machine_id is not None
        seen = await back.cloud.machine(APP, spare.machine_id)
        assert seen is not None
        assert seen.state is MachineState.SUSPENDED
    made = back.fly.calls.counts["create_machine"]
    ada = somebody()
    instance = await back.ready(ada)
    assert (instance.id, instance.machine_id) in {(spare.id, spare.machine_id) for spare in ready}
    assert back.fly.calls.counts["create_machine"] == made
    told = await environment(back, instance)
    assert (told["USER_ID"], told["USER_EMAIL"]) == (str(ada.user_id), ada.email)
    assert [step for step in await back.audit(ada) if step[2]] == [
        ("create", None, "provisioning"),
        ("ready", "provisioning", "active"),
    ]
    assert len(await spares(back)) == 1  # the claimed one has an Instance now, and is no spare any more


async def test_it_stays_theirs_over_every_kind_of_sleep(back: Back) -> None:
    await filled(back)
    ada = somebody()
    first = await back.ready(ada)
    for sleep in (back.lifecycle.suspend, back.lifecycle.stop):
        await sleep(ada.user_id, actor="test")
        again = await back.ready(ada)
        assert again.machine_id == first.machine_id
        assert (await environment(back, again))["USER_ID"] == str(ada.user_id)


async def test_a_dead_spare_is_swapped_for_the_next_and_buried(back: Back) -> None:
    """What died in its sleep costs the visitor a moment, and nobody else is given it."""
    pool = pool_of(back)
    dead, living = await filled(back, pool)
    assert dead.machine_id is not None
    await back.cloud.destroy(APP, dead.machine_id)
    ada = somebody()
    instance = await back.ready(ada)
    assert (instance.id, instance.machine_id) == (living.id, living.machine_id)
    assert [s.id for s in await spares(back, SpareState.DOOMED)] == [dead.id]
    assert "spare_swap" in [action for action, _, _ in await back.audit(ada)]

    async def buried() -> bool:
        return dead.id not in {spare.id for spare in await spares(back)}

    await rounds(pool, buried)
    assert dead.volume_id not in {volume.id for volume in await back.cloud.volumes(APP)}


async def test_without_a_living_spare_a_machine_is_made_as_ever(back: Back) -> None:
    for spare in await filled(back):
        assert spare.machine_id is not None
        await back.cloud.destroy(APP, spare.machine_id)
    ada = somebody()
    instance = await back.ready(ada)
    assert instance.machine_name == naming.machine_name("test", ada.user_id)
    assert (await environment(back, instance))["USER_ID"] == str(ada.user_id)
    assert len(await spares(back, SpareState.DOOMED)) == 2


async def test_more_visitors_than_spares_on_two_replicas_get_a_machine_each(back: Back) -> None:
    ready = {spare.machine_id for spare in await filled(back)}
    async with another_replica(back) as other:
        visitors = [somebody(f"v{n}") for n in range(4)]
        instances = await asyncio.gather(
            *((back if n % 2 else other).ready(visitor) for n, visitor in enumerate(visitors))
        )
        again = await asyncio.gather(*(other.ready(visitor) for visitor in visitors))
    machines = [instance.machine_id for instance in instances]
    assert len(set(machines)) == 4
    assert ready <= set(machines)
    assert [instance.machine_id for instance in again] == machines
    for visitor, instance in zip(visitors, instances, strict=True):
        assert (await environment(back, instance))["USER_ID"] == str(visitor.user_id)


async def test_two_replicas_at_once_give_one_user_one_machine(back: Back) -> None:
    await filled(back)
    ada = somebody()
    async with another_replica(back) as other:
        one, two = await asyncio.gather(back.ready(ada), other.ready(ada))
    assert one.machine_id == two.machine_id
    # The replica that lost may have taken the other one for nothing: then the pool buries it.
    assert len(await spares(back, SpareState.READY, SpareState.CLAIMED)) == 1


async def test_a_claim_that_its_replica_did_not_live_to_finish_is_gone_on_with(back: Back) -> None:
    """The row says everything: another replica starts the spare, claims it and lets the user in."""
    [spare, _] = await filled(back)
    ada = somebody()
    claimed = await back.spares.claim_spare(
        ada.user_id, email=ada.email, guest=spare.guest, leave=0, actor="test", model=back.parts.model
    )
    assert claimed is not None
    assert (claimed.state, claimed.id) == (State.PROVISIONING, spare.id)
    async with another_replica(back) as other:
        instance = await other.ready(ada)
    assert instance.id == spare.id
    assert (await environment(back, instance))["USER_ID"] == str(ada.user_id)


async def test_the_last_ones_are_kept_for_who_pays(back: Back) -> None:
    ready = await filled(back)
    reserved = replace(back.parts, pool=replace(POOL, reserved=2))
    ada, grace = somebody("ada"), somebody("grace")
    reserved.plans.in_force(grace.user_id, "starter")
    assert await claim(reserved, ada.user_id, ada.email, actor="test") is None
    claimed = await claim(reserved, grace.user_id, grace.email, actor="test")
    assert claimed is not None
    assert claimed.id in {spare.id for spare in ready}


async def test_a_larger_plan_gets_no_machine_that_is_too_small(back: Back) -> None:
    await filled(back)
    ada = somebody()
    back.parts.plans.in_force(ada.user_id, "enterprise")
    assert (await back.ready(ada)).guest == back.parts.plans.named("enterprise").guest


async def test_half_made_spares_of_a_dead_replica_are_buried(back: Back) -> None:
    """It died between two calls to Fly: what it made is found by its name, and ends."""
    id, model = uuid4(), back.parts.model
    name = naming.spare_name("test", id)
    await back.spares.add_spare(id, model, app_name=APP, machine_name=name)
    volume = await back.cloud.create_volume(
        APP, name=naming.spare_volume_name(id), region="iad", size_gb=1, guest=model.guest
    )

    async def buried() -> bool:
        return id not in {spare.id for spare in await spares(back)}

    await rounds(pool_of(back), buried)
    assert volume.id not in {volume.id for volume in await back.cloud.volumes(APP)}


async def test_a_new_image_takes_the_place_of_the_old_one(back: Back) -> None:
    old = await filled(back)
    newer = replace(back.parts, images=Images("golden:newer"))
    pool = Pool(newer, back.spares, shipped().prices, told=lambda target, ready: None)

    async def cycled() -> bool:
        return {spare.image for spare in await spares(back)} == {"golden:newer"}

    await rounds(pool, cycled)
    status = await pool.status()
    assert status.images == {"golden:newer": 2}
    assert not {spare.id for spare in old} & {spare.id for spare in await spares(back)}


async def test_what_died_while_it_waited_is_replaced_before_anybody_comes(back: Back) -> None:
    pool = pool_of(back)
    dead, _ = await filled(back, pool)
    assert dead.machine_id is not None
    await back.cloud.destroy(APP, dead.machine_id)

    async def replaced() -> bool:
        ready = await spares(back, SpareState.READY)
        return len(ready) == 2 and dead.id not in {spare.id for spare in ready}

    await rounds(pool, replaced)


async def test_in_its_own_app_a_spare_brings_app_network_and_address_along(database: Database, tmp_path: Path) -> None:
    settings = replace(SETTINGS, isolation=Isolation.APP)
    async with back_of_house(database, tmp_path, settings=settings, pool=replace(POOL, least=1, most=1)) as back:
        [spare] = await filled(back)
        ada = somebody()
        instance = await back.ready(ada)
        assert (instance.id, instance.app_name, instance.flycast_ip) == (spare.id, spare.app_name, spare.flycast_ip)
        assert (await environment(back, instance))["USER_ID"] == str(ada.user_id)
        await back.lifecycle.destroy(ada.user_id, actor="test")
        assert spare.machine_id is not None
        assert await back.cloud.machine(spare.app_name, spare.machine_id) is None


async def test_those_that_are_begun_count_before_they_are_written_down(back: Back) -> None:
    begun, written = [], asyncio.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(back.spares, name)

        async def add_spare(self, spare_id: UUID, model: Model, **names: Any) -> Spare:
            begun.append(spare_id)
            await written.wait()
            return await back.spares.add_spare(spare_id, model, **names)

    pool = Pool(back.parts, cast("Any", Slow()), shipped().prices, told=lambda target, ready: None)
    async with Tasks() as work:
        for _ in range(3):
            await pool.round(work)
    assert len(begun) == 2


async def test_the_status_says_what_it_costs(back: Back) -> None:
    pool = pool_of(back)
    await filled(back, pool)
    status = await pool.status()
    assert (status.enabled, status.target, status.states) == (True, 2, {"ready": 2})
    assert status.usd_per_month == pytest.approx(2 * 0.30)  # one GB of disk and one of root each


async def test_a_claimed_one_is_never_given_up_while_somebody_lives_there(back: Back) -> None:
    await filled(back)
    ada = somebody()
    instance = await back.ready(ada)
    assert not await back.spares.move_spare(instance.id, SpareState.CLAIMED, SpareEvent.DISCARD, why="a bug")
    assert (await back.ready(ada)).machine_id == instance.machine_id


async def test_of_two_replicas_one_keeps_the_pool(back: Back) -> None:
    async def full() -> bool:
        return len(await spares(back, SpareState.READY)) >= 2

    async with another_replica(back) as other:
        keepers = [asyncio.create_task(pool_of(b).run()) for b in (back, other)]
        try:
            await until(full, within=30)
            assert len(await spares(back)) == 2
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)
