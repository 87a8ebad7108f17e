"""Somebody at the operator's desk and at Fly's counter, who asks again too when a gateway dies under their hands."""

import asyncio
import time
from collections.abc import Collection
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
        deadline = time.monotonic() + PATIENCE_S
        said = ""
        while time.monotonic() < deadline:
            row = await self.row(person)
            if row is not None and row["state"] == reaches:
                return
            if row is not None:
                said = await self.ask("POST", f"/v1/instances/{row['user_id']}/{verb}")
            await asyncio.sleep(LOOK_S)
        raise Unserved(f"{verb} of {person.email}: {said}")

    async def destroy(self, person: Person) -> None:
        """Until neither row nor Machine is left."""
        deadline = time.monotonic() + PATIENCE_S
        said, row = "", await self.row(person)
        while row is not None and time.monotonic() < deadline:
            said = await self.ask("DELETE", f"/v1/instances/{row['user_id']}")
            await asyncio.sleep(LOOK_S)
            row = await self.row(person)
        if row is not None:
            raise Unserved(f"destroying the Instance of {person.email}: {said}")

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
        deadline = time.monotonic() + PATIENCE_S
        while wanted:
            states = [
                row["state"]
                for row in await self.stage.rows.fetch("select state from gateway.spares where state <> 'claimed'")
            ]
            if states == wanted:
                return
            if time.monotonic() > deadline:
                raise Unserved(f"the pool is {states}, not {wanted}")
            await asyncio.sleep(LOOK_S)

    async def roll_out(self, image: str) -> None:
        """Until everybody is to have `image`. Whatever rollout is open is taken back before."""
        state = "select state from gateway.rollouts where image = $1"
        order = {"image": image, "steps": [100], "soak_s": 0}
        deadline = time.monotonic() + PATIENCE_S
        said = ""
        while await self.stage.rows.fetchval(state, image) is None:
            if time.monotonic() > deadline:
                raise Unserved(f"the rollout of {image} does not begin: {said}")
            await self.take_back()
            said = await self.ask("POST", "/v1/rollout", order)
            await asyncio.sleep(LOOK_S)

    async def take_back(self) -> None:
        """Until whoever was given a newer image is to return to the former one."""
        newest = "select state from gateway.rollouts order by created_at desc limit 1"
        deadline = time.monotonic() + PATIENCE_S
        said = ""
        while await self.stage.rows.fetchval(newest) not in (None, "returning", "returned"):
            if time.monotonic() > deadline:
                raise Unserved(f"the rollout is not taken back: {said}")
            said = await self.ask("POST", "/v1/rollout/back")
            await asyncio.sleep(LOOK_S)

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
