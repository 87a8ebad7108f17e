"""Which changes of an Instance a replica that serves its user looks at."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast
from uuid import uuid4

import pytest

from gateway.directory import Directory
from gateway.drains import Drains
from provisioner.instance import State, UserId
from provisioner.ports import Change
from tests.parts.clock import ManualClock

ADA = UserId(uuid4())


class Changing:
    """A store that tells of one change, and counts who looks at rows."""

    def __init__(self, change: Change | None) -> None:
        self.change, self.looks = change, 0
        self.told = asyncio.Event()

    async def changes(self) -> AsyncGenerator[Change | None, None]:
        yield self.change
        self.told.set()
        await asyncio.Event().wait()

    async def find(self, user_id: UserId) -> None:
        self.looks += 1


class Busy:
    """Traffic and Live of a replica where ADA's request waits."""

    def busy(self, user_id: UserId) -> bool:
        return user_id == ADA

    def working(self, user_id: UserId) -> None:
        return None

    def last_touch(self, user_id: UserId) -> None:
        return None

    def in_progress(self, user_id: UserId) -> int:
        return int(user_id == ADA)

    def all(self) -> list[Any]:
        return []

    async def drain(self, user_id: UserId, code: int) -> None:
        pass


@pytest.mark.parametrize(
    ("change", "looks"),
    [
        (Change(ADA, State.WAKING), 0),
        (Change(ADA, State.ACTIVE), 0),
        (Change(ADA, State.PROVISIONING), 0),
        (Change(ADA, State.FAILED), 0),
        (Change(ADA, State.DRAINING), 1),
        (Change(ADA, State.SUSPENDING), 1),
        (Change(ADA, State.STOPPED), 1),
        (Change(ADA, State.DELETING), 1),
        (Change(ADA, None), 1),
        (Change(UserId(uuid4()), State.DRAINING), 0),
    ],
)
async def test_a_wake_costs_no_look_and_whatever_leads_to_sleep_does(change: Change, looks: int) -> None:
    clock, store, busy = ManualClock(), Changing(change), cast("Any", Busy())
    directory = Directory(cast("Any", store), clock)
    drains = Drains(directory, cast("Any", store), busy, busy, clock)
    work = [asyncio.create_task(each) for each in (drains.run(), directory.watch())]
    async with asyncio.timeout(10):
        await store.told.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    for task in work:
        task.cancel()
    await asyncio.wait(work)
    assert store.looks == looks
