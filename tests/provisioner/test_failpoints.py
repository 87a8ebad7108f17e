"""Points at which a replica can be made to die."""

from collections.abc import AsyncGenerator
from typing import Protocol
from uuid import uuid4

import pytest

from provisioner.failpoints import acts, points, watched
from provisioner.instance import Event, State
from provisioner.ports import Cloud, Store


class Oven(Protocol):
    async def bake(self, loaf: str, *, minutes: int) -> str: ...
    async def move(self, user_id: object, state: State, event: Event, *, actor: str) -> str: ...
    async def find(self, loaf: str) -> str: ...
    def changes(self) -> AsyncGenerator[str, None]: ...


class Stove:
    """Fits `Oven`, and can more."""

    colour = "black"

    async def bake(self, loaf: str, *, minutes: int) -> str:
        if minutes > 60:
            raise ValueError("burnt")
        return f"{loaf} after {minutes}"

    async def move(self, user_id: object, state: State, event: Event, *, actor: str) -> str:
        return f"{actor}: {event}"

    async def find(self, loaf: str) -> str:
        return loaf

    async def changes(self) -> AsyncGenerator[str, None]:
        yield "hot"


async def test_acts_are_told_of_before_and_after_and_do_what_they_did() -> None:
    told: list[str] = []
    stove = watched(Stove(), Oven, "oven", told.append)
    assert await stove.bake("rye", minutes=40) == "rye after 40"
    assert told == ["oven.bake:before", "oven.bake:after"]
    assert await stove.find("rye") == "rye"
    assert [word async for word in stove.changes()] == ["hot"]
    assert stove.colour == "black"
    with pytest.raises(ValueError, match="burnt"):
        await stove.bake("rye", minutes=90)
    assert told == ["oven.bake:before", "oven.bake:after", "oven.bake:before"]


async def test_a_step_of_the_life_has_points_of_its_own() -> None:
    told: list[str] = []
    stove = watched(Stove(), Oven, "oven", told.append)
    await stove.move(uuid4(), State.WAKING, Event.READY, actor="visit")
    await stove.move(uuid4(), State.WAKING, Event.DELETE, actor="operator")
    assert [*dict.fromkeys(point.rpartition(":")[0] for point in told)] == [
        "oven.move.waking.ready",
        "oven.move.delete",
    ]
    assert set(told) <= set(points({"oven": Oven}))


def test_every_act_of_our_ports_is_a_point() -> None:
    """What a new version asks of Fly or Postgres is a point too, unless somebody says that it changes nothing."""
    assert acts(Cloud) >= {"create_volume", "create_machine", "start", "suspend", "stop", "destroy", "delete_volume"}
    assert acts(Store) >= {"create", "move", "record", "acquire", "release", "put_off", "remove"}
    assert not acts(Store) & {"find", "touch", "changes"}
    names = list(points({"cloud": Cloud, "store": Store}))
    assert len(names) == len(set(names))
    assert {"store.move.provisioning.ready:after", "store.move.delete:before", "cloud.create_volume:after"} <= {*names}
    assert {"store.wake:before", "store.wake:after"} <= {*names}
    assert not {name for name in names if name.startswith(("store.move.suspended.wake", "store.move.stopped.wake"))}
