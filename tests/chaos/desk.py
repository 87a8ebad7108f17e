"""Somebody at the operator's desk and at Fly's counter, who asks again too when a gateway dies under their hands."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.chaos.person import PATIENCE_S, Person, Unserved
from tests.chaos.stage import Stage
from tests.parts.system import LOOK_S

GONE: Final = ("destroyed", "destroying")
SPARES_WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Acts through the admin API of either replica, and looks into the database and behind Fly's counter."""

    stage: Stage

    async def row(self, person: Person) -> dict[str, Any] | None:
        """Their Instance."""
        found = await self.stage.rows.fetchrow("select * from public.user_instances where email = $1", person.email)
        return None if found is None else dict(found)

    async def until(self, person: Person, states: Collection[str], *, within: float = PATIENCE_S) -> str:
        """Which of `states` their Instance is in, as soon as it is."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            row = await self.row(person)
            state = "none" if row is None else str(row["state"])
            if state in states:
                return state
            await asyncio.sleep(LOOK_S)
        raise Unserved(f"{person.email} is {state}, not {'/'.join(states)} within {within:g} s")

    async def act(self, person: Person, verb: str, *, reaches: str) -> None:
        """`suspend` or `stop`, until it is `reaches`; what failed or was lost is asked again."""

        async def step() -> str | None:
            row = await self.row(person)
            if row is None:
                return "no Instance"
            return None if row["state"] == reaches else await self.ask("POST", f"/v1/instances/{row['user_id']}/{verb}")

        await _repeat(step, f"{verb} of {person.email}")

    async def destroy(self, person: Person) -> None:
        """Until neither row nor Machine is left."""

        async def step() -> str | None:
            row = await self.row(person)
            return None if row is None else await self.ask("DELETE", f"/v1/instances/{row['user_id']}")

        await _repeat(step, f"destroying the Instance of {person.email}")

    async def machine(self, person: Person) -> dict[str, Any]:
        """Their Machine as Fly has it, with what only the host knows."""
        row = await self.row(person)
        found = [m for m in await self.machines() if row is not None and m["id"] == row["machine_id"]]
        if not found:
            raise Unserved(f"{person.email} has no Machine at Fly; the row says {row}")
        return found[0]

    async def machines(self) -> list[dict[str, Any]]:
        """Every Machine that is not on its way out."""
        _, told = await self.stage.call("GET", "/_local/machines")
        return [machine for machine in told["machines"] if machine["state"] not in GONE]

    async def local(self, person: Person, verb: str, body: object = None) -> int:
        """Do something to their Machine that no API knows: `crash`, `freeze`, `migrate`."""
        status, _ = await self.stage.call("POST", f"/_local/machines/{(await self.machine(person))['id']}/{verb}", body)
        return status

    async def host(self, person: Person, status: str) -> None:
        """Let the host of their Machine be `unreachable`, or `ok` again."""
        machine = await self.machine(person)
        await self.stage.call("PUT", f"/_local/machines/{machine['id']}/host", {"status": status})

    def turned_away(self) -> int:
        """How often Fly answered 503, which it does where it does not reach a host."""
        return sum(answers["503"] for answers in self.stage.fly.calls.answers.values())

    async def spares(self) -> list[dict[str, Any]]:
        """Machines that are kept ready, as soon as there are some; none if no pool is kept here."""
        deadline = time.monotonic() + SPARES_WITHIN_S
        while await self.stage.rows.fetchval("select exists (select from gateway.spares)"):
            rows = await self.stage.rows.fetch("select * from gateway.spares where state = 'ready'")
            if rows or time.monotonic() > deadline:
                return [dict(row) for row in rows]
            await asyncio.sleep(LOOK_S)
        return []

    async def pool_settled(self) -> None:
        """Return when as many spares wait as are kept here, and nothing is done about them any more."""
        wanted = ["ready"] * self.stage.spares

        async def step() -> str | None:
            rows = await self.stage.rows.fetch("select state from gateway.spares where state <> 'claimed'")
            states = [row["state"] for row in rows]
            return None if states == wanted else f"it is {states}, not {wanted}"

        if wanted:
            await _repeat(step, "the pool")

    async def roll_out(self, image: str) -> None:
        """Until everybody is to have `image`. Whatever rollout is open is taken back before."""
        begun = "select exists (select from gateway.rollouts where image = $1)"

        async def step() -> str | None:
            if await self.stage.rows.fetchval(begun, image):
                return None
            await self.take_back()
            return await self.ask("POST", "/v1/rollout", {"image": image, "steps": [100], "soak_s": 0})

        await _repeat(step, f"the rollout of {image}")

    async def take_back(self) -> None:
        """Until whoever was given a newer image is to return to the former one."""
        newest = "select state from gateway.rollouts order by created_at desc limit 1"

        async def step() -> str | None:
            back = await self.stage.rows.fetchval(newest) in (None, "returning", "returned")
            return None if back else await self.ask("POST", "/v1/rollout/back")

        await _repeat(step, "taking the rollout back")

    async def at_fly(self, person: Person, method: str, verb: str = "", **query: str) -> int:
        """Do something to their Machine through the API, behind the gateway's back."""
        machine = await self.machine(person)
        path = f"/apps/{machine['app']}/machines/{machine['id']}{verb}"
        status, _ = await self.stage.call(method, path, query=query)
        return status

    async def ask(self, method: str, path: str, body: object = None) -> str:
        """Ask the replicas one after the other until one does it; what the last one said."""
        said = ""
        for replica in list(self.stage.replicas.values()):
            headers = {"Authorization": f"Bearer {replica.admin_token}"}
            try:
                answer = await self.stage.http.request(method, replica.admin + path, headers=headers, json=body)
            except httpx.TransportError as broken:
                said = type(broken).__name__
                continue
            said = f"{answer.status_code} {answer.text[:200]}"
            if answer.is_success:
                break
        return said


async def _repeat(step: Callable[[], Awaitable[str | None]], what: str) -> None:
    """Until `step` gives None; what else it gives is how `what` stands. Raises Unserved after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while (said := await step()) is not None:
        if time.monotonic() > deadline:
            raise Unserved(f"{what}: {said}")
        await asyncio.sleep(LOOK_S)
