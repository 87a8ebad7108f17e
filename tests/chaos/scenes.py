"""Pieces of life with a Machine. Between them they lead through every act of the provisioner.

Each begins with a person who is signed in and has no Machine yet, and ends when they are served (or quite gone); a
gateway may die at any moment of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from tests.chaos.desk import Desk
from tests.chaos.person import PATIENCE_S, Person, Unserved
from tests.parts.system import until

Scene = Callable[[Person, Desk], Awaitable[None]]


async def first_visit(ada: Person, desk: Desk) -> None:
    """A Machine of one's own, from nothing."""
    await ada.visit()


async def suspended(ada: Person, desk: Desk) -> None:
    """Put to sleep, and woken by the next visit."""
    await ada.visit()
    await ada.write("kept")
    await desk.act(ada, "suspend", reaches="suspended")
    await _finds_their_note(ada)


async def stopped(ada: Person, desk: Desk) -> None:
    """Put to sleep deeply, and woken by the next visit."""
    await ada.visit()
    await ada.write("kept")
    await desk.act(ada, "stop", reaches="stopped")
    await _finds_their_note(ada)


async def suspended_then_stopped(ada: Person, desk: Desk) -> None:
    """Both stages of sleep."""
    await ada.visit()
    await desk.act(ada, "suspend", reaches="suspended")
    await desk.act(ada, "stop", reaches="stopped")
    await ada.visit()


async def cannot_be_suspended(ada: Person, desk: Desk) -> None:
    """Fly refuses to suspend it, so it is stopped."""
    await ada.visit()
    _fault(desk, "suspend_machine", {"kind": "status", "status": 400, "body": {"error": "invalid_argument: too large"}})
    await asyncio.gather(desk.until(ada, {"stopped", "suspended"}), _order(ada, desk, "suspend"))
    await ada.visit()


async def back_while_it_falls_asleep(ada: Person, desk: Desk) -> None:
    """A visit in the middle of a suspend."""
    await ada.visit()
    desk.stage.fly.latencies.suspend = 3.0
    await asyncio.gather(_order(ada, desk, "suspend"), _visit_when(ada, desk, "suspending"))


async def back_while_it_stops(ada: Person, desk: Desk) -> None:
    """A visit in the middle of a stop."""
    await ada.visit()
    desk.stage.fly.latencies.stop = 2.0
    await asyncio.gather(_order(ada, desk, "stop"), _visit_when(ada, desk, "stopping"))


async def back_within_the_grace(ada: Person, desk: Desk) -> None:
    """Quiet for long enough, and back in the moment before it is put to sleep."""
    await ada.visit()
    await desk.until(ada, {"draining", "suspending", "suspended"})
    await ada.visit()


async def asleep_behind_our_back(ada: Person, desk: Desk) -> None:
    """Somebody stopped it at Fly; the row says that it serves."""
    await ada.visit()
    await desk.at_fly(ada, "POST", "/stop")
    await ada.visit()


async def gone_behind_our_back(ada: Person, desk: Desk) -> None:
    """Somebody destroyed it at Fly; its disk is still there."""
    await ada.visit()
    await ada.write("kept")
    await desk.at_fly(ada, "DELETE", force="true")
    await _finds_their_note(ada)


async def fails_at_first(ada: Person, desk: Desk) -> None:
    """Fly has no room: they wait in the queue, and are let in when there is."""
    _fault(desk, "create_volume", {"kind": "capacity", "scope": "organisation"})
    _fault(desk, "create_machine", {"kind": "capacity", "scope": "organisation"})
    await ada.visit()


async def does_not_wake_at_first(ada: Person, desk: Desk) -> None:
    """A wake that Fly refuses for good is given up; the next visit tries anew."""
    await ada.visit()
    await desk.act(ada, "stop", reaches="stopped")
    _fault(desk, "start_machine", {"kind": "status", "status": 403, "body": {"error": "not allowed"}})
    await ada.visit()


async def boots_slowly(ada: Person, desk: Desk) -> None:
    """So slowly that the lease on the work has to be renewed."""
    desk.stage.fly.latencies.create = 2.5
    await ada.visit()


async def never_launches(ada: Person, desk: Desk) -> None:
    """The Machine that was made does not come up."""
    _fault(desk, "create_machine", {"kind": "boot_failure"})
    await ada.visit()


async def grows(ada: Person, desk: Desk) -> None:
    """They pay for more: at the next sleep their Machine and its disk become larger."""
    await ada.visit()
    await ada.write("kept")
    row = await desk.row(ada)
    if row is not None:
        await desk.stage.rows.execute(
            "insert into public.user_subscriptions (user_id, plan, status) values ($1, 'pro', 'active')", row["user_id"]
        )
    await desk.act(ada, "stop", reaches="stopped")
    await _finds_their_note(ada)


async def no_room_beside_the_disk(ada: Person, desk: Desk) -> None:
    """Their Machine is gone, and the host that has their disk takes no other: the disk moves."""
    await ada.visit()
    await ada.write("kept")
    await desk.act(ada, "stop", reaches="stopped")
    await desk.at_fly(ada, "DELETE", force="true")
    _fault(desk, "create_machine", {"kind": "capacity", "scope": "volume_host"})
    await _finds_their_note(ada)


async def a_region_is_full(ada: Person, desk: Desk) -> None:
    """There is room for their disk and none for their Machine: another region takes them."""
    _fault(desk, "create_machine", {"kind": "capacity", "scope": "region"})
    await ada.visit()


async def a_host_is_away(ada: Person, desk: Desk) -> None:
    """Nobody reaches the host on which their Machine sleeps, until who wants to wake it was turned away thrice."""
    await ada.visit()
    await desk.act(ada, "stop", reaches="stopped")
    before = desk.turned_away()
    await desk.host(ada, "unreachable")

    async def thrice() -> bool:
        return desk.turned_away() >= before + 3

    async def comes_back() -> None:
        await until(thrice, within=PATIENCE_S)
        await desk.host(ada, "ok")

    await asyncio.gather(ada.visit(), comes_back())


async def a_spare_is_dead(ada: Person, desk: Desk) -> None:
    """Where there is a pool, the Machine that was kept ready for them is gone: they get the next."""
    for spare in await desk.spares():
        await desk.stage.call("DELETE", f"/apps/{spare['app_name']}/machines/{spare['machine_id']}?force=true")
    await ada.visit()


async def gets_a_newer_image(ada: Person, desk: Desk) -> None:
    """A newer image is brought to everybody: their Machine has it at its next start, and the former one is taken back.

    Where a replica had not heard of it yet, the start after that.
    """
    await ada.visit()
    await ada.write("kept")
    image = f"golden@sha256:{uuid4().hex * 2}"
    await desk.act(ada, "stop", reaches="stopped")
    await desk.roll_out(image)
    for _ in range(3):
        await _finds_their_note(ada)
        row = await desk.row(ada)
        if row is not None and row["image"] == image:
            break
        await desk.act(ada, "stop", reaches="stopped")
    await desk.take_back()
    await desk.act(ada, "stop", reaches="stopped")
    await _finds_their_note(ada)


async def leaves(ada: Person, desk: Desk) -> None:
    """The end of it all: nothing of theirs remains."""
    await ada.visit()
    await desk.destroy(ada)


SCENES: Final[dict[str, Scene]] = {
    scene.__name__: scene
    for scene in (
        first_visit,
        suspended,
        stopped,
        suspended_then_stopped,
        cannot_be_suspended,
        back_while_it_falls_asleep,
        back_while_it_stops,
        back_within_the_grace,
        asleep_behind_our_back,
        gone_behind_our_back,
        fails_at_first,
        does_not_wake_at_first,
        boots_slowly,
        never_launches,
        grows,
        no_room_beside_the_disk,
        a_region_is_full,
        a_host_is_away,
        a_spare_is_dead,
        gets_a_newer_image,
        leaves,
    )
}
LEAVES: Final = leaves.__name__


async def _finds_their_note(ada: Person) -> None:
    said = await ada.visit()
    if said["note"] != "kept":
        raise Unserved(f"{ada.email} lost what was on their disk: {said}")


async def _order(ada: Person, desk: Desk, verb: str) -> None:
    """Ask once, whatever comes of it."""
    row = await desk.row(ada)
    if row is not None:
        await desk.ask("POST", f"/v1/instances/{row['user_id']}/{verb}")


async def _visit_when(ada: Person, desk: Desk, state: str) -> None:
    with suppress(Unserved):  # the order may have died with a gateway before anything was recorded
        await desk.until(ada, {state}, within=5)
    await ada.visit()


def _fault(desk: Desk, action: str, fault: dict[str, Any]) -> None:
    desk.stage.fly.faults.add({"match": {"action": action}, "fault": fault})
