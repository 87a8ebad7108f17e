"""Bad days at Supabase: its keys change, its sign-in falls silent, the database goes away. Who is at work works on.

An outage here lasts until everything has ended that is short in it (access tokens, batches, connections). What lasts
longer is proven on a clock: the signing keys in `test_jwks`, sessions in `test_refreshing`, where an Instance answers
in `test_memory`, and a program's login in `test_logins`.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from gateway.session.cookie import hash_of, new_session_id
from localcloud.auth.faults import Fault
from localcloud.database import Database, embedded_postgres
from provisioner.store.migrate import migrate
from tests.journeys.conftest import Visit
from tests.journeys.test_signing_in import assert_problem
from tests.journeys.visitor import FETCH, PAGE, Visitor, access_token
from tests.parts.account import AccountVisitor
from tests.parts.line import line_to
from tests.parts.plain_http import NO_TLS
from tests.parts.system import Replica, Served, served, until

TOKEN_LIVES_S: Final = 3
HEALED_WITHIN_S: Final = 60.0
REFRESH: Final = "POST /auth/v1/token?grant_type=refresh_token"


class Postgres:
    """A database of its own that can be switched off, and on again with its data at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._running = folder, AsyncExitStack()

    async def on(self, *, port: int = 0) -> Database:
        return await self._running.enter_async_context(embedded_postgres(self._folder, port=port, durable=False))

    async def off(self) -> None:
        """Connections are dropped and new ones refused."""
        await self._running.aclose()


@pytest.fixture
async def postgres_of_its_own(tmp_path: Path) -> AsyncIterator[Postgres]:
    server = Postgres(tmp_path / "postgres")
    yield server
    await server.off()


@dataclass
class Desk:
    """Ada at work: a page, programs by both kinds of token, and an open WebSocket."""

    ada: Visitor
    bearers: tuple[str, ...]
    socket: ClientConnection
    cloud: Served
    database: Database

    async def works(self) -> bool:
        page = await self.ada.http.get("/env", headers=PAGE)
        assert (page.status_code, page.history) == (200, []), page.text
        assert page.json()["USER_EMAIL"] == self.ada.email
        for bearer in self.bearers:
            async with httpx.AsyncClient(
                base_url=self.ada.public, trust_env=False, verify=NO_TLS, timeout=60
            ) as program:
                answer = await program.get("/env", headers={**FETCH, "Authorization": f"Bearer {bearer}"})
            assert (answer.status_code, answer.json().get("USER_EMAIL")) == (200, self.ada.email), answer.text
        await self.socket.send("still here")
        assert await self.socket.recv() == "still here"
        return True

    async def one(self, query: str, *values: object) -> object:
        connection = await asyncpg.connect(self.database.admin_dsn)
        try:
            return await connection.fetchval(query, *values)
        finally:
            await connection.close()

    async def token_ends(self) -> datetime:
        """When the access token ends that her session stands on."""
        id_hash = hash_of(self.ada.http.cookies["jarvis"])
        ends = await self.one("select access_expires_at from gateway.sessions where id_hash = $1", id_hash)
        assert isinstance(ends, datetime)
        return ends

    async def works_without_refresh(self) -> None:
        """She works on, from now until no access token is left that could have been issued before now."""
        last_end = datetime.now(UTC) + timedelta(seconds=TOKEN_LIVES_S + 1)  # one may be on its way

        async def ended() -> bool:
            late = datetime.now(UTC) > last_end
            return await self.works() and late

        await until(ended, within=HEALED_WITHIN_S)

    async def refreshed_after(self, moment: datetime) -> None:
        """She works on until she has a token that ends later than what she could have had at `moment`."""

        async def renewed() -> bool:
            return await self.works() and await self.token_ends() > moment

        await until(renewed, within=HEALED_WITHIN_S)

    async def active_after(self, moment: datetime) -> None:
        """She works on until the record says that she was active after `moment`."""

        async def written() -> bool:
            query = "select last_active > $2 from public.user_instances where email = $1"
            return await self.works() and bool(await self.one(query, self.ada.email, moment))

        await until(written, within=HEALED_WITHIN_S)

    async def refresh_failed(self) -> bool:
        """She works, and behind it the gateway tried to renew her token in vain."""
        async with httpx.AsyncClient(base_url=self.cloud.auth.url, trust_env=False, verify=NO_TLS) as auth:
            counted = (await auth.get("/_local/requests")).json()
        return await self.works() and "503" in counted.get(REFRESH, {"statuses": {}})["statuses"]


async def sign_in(name: str, gateway: Replica) -> httpx.Response:
    """What somebody new sees at the end of their way through sign-in. They have no Machine yet."""
    async with Visitor(f"{name}@example.com", gateway.public) as somebody:
        query = {"next": "/_gateway/instance", "login_hint": somebody.email}
        return await somebody.http.get("/auth/login", params=query, headers=PAGE)


async def let_in(name: str, gateway: Replica) -> None:
    """Return as soon as somebody new gets in. Until then they are told at most that it does not work yet."""

    async def tried() -> bool:
        status = (await sign_in(name, gateway)).status_code
        assert status in (200, 503)
        return status == 200

    await until(tried, within=HEALED_WITHIN_S)


def assert_says_why(answer: httpx.Response, gateway: Replica) -> None:
    """A page of ours that says that it is sign-in, that it is not their fault, and lets them try again."""
    assert urlsplit(str(answer.url)).netloc == urlsplit(gateway.public).netloc, answer.url
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8"), answer.text
    assert "Sign-in does not answer right now" in answer.text
    assert "/auth/login?next=/_gateway/instance" in answer.text
    assert int(answer.headers["Retry-After"]) > 0


async def at_work(stack: AsyncExitStack, ada: Visitor, gateway: Replica, cloud: Served, database: Database) -> Desk:
    """Ada with a page, two programs and a WebSocket open; what she has of Supabase ends soon."""
    back_to, key = f"{gateway.public}/auth/callback?s=x", cloud.auth.publishable_key
    her = await stack.enter_async_context(AccountVisitor(ada.email, gateway.public))
    assert (await her.sign_in()).status_code == 200
    login = await access_token(cloud.auth.url, key, email=ada.email, back_to=back_to)
    personal = await her.new_token("app")
    cloud.auth.project.token_lifetime_s = TOKEN_LIVES_S
    assert (await ada.sign_in()).status_code == 200
    desk = Desk(ada, (login, personal), await stack.enter_async_context(ada.websocket()), cloud, database)
    await desk.works()
    return desk


async def test_who_is_at_work_works_on_while_the_database_says_nothing(
    tmp_path: Path, database: Database, visit: Visit
) -> None:
    """It hangs instead of refusing: what I have goes on, newcomers are told, and all heals by itself."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        line, far = await enter(line_to(database))
        cloud = await enter(served(tmp_path, far))
        cloud.auth.project.rate_burst = 1_000
        gateway = await cloud.replica()
        desk = await at_work(stack, await visit("ada", at=gateway), gateway, cloud, database)

        line.silent = True
        await desk.works_without_refresh()
        assert_says_why(await sign_in("dora", gateway), gateway)
        await desk.works()
        back = datetime.now(UTC)
        line.silent = False

        await let_in("dora", gateway)
        await desk.refreshed_after(back)
        assert not gateway.program.ended


async def test_who_is_at_work_works_on_while_supabase_has_a_bad_day(
    tmp_path: Path, postgres_of_its_own: Postgres, visit: Visit
) -> None:
    """Keys rotated, sign-in silent, database away: I work on, newcomers are told why, and all heals by itself."""
    database = await postgres_of_its_own.on()
    await migrate(database.owner_dsn)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        cloud = await enter(served(tmp_path, database))
        keys, project, faults = cloud.auth.service.keys, cloud.auth.project, cloud.auth.faults
        project.rate_burst = 1_000
        keys.create_standby("ES256")  # published before it signs, as Supabase's own dashboard has it
        gateway = await cloud.replica(TOUCH_EVERY_S="0.2")
        desk = await at_work(stack, await visit("ada", at=gateway), gateway, cloud, database)

        keys.rotate("ES256")
        await let_in("bob", gateway)
        await desk.refreshed_after(await desk.token_ends())

        faults.add(Fault(path="/auth/v1/*", kind="status", status=503, times=None))
        await desk.works_without_refresh()
        await until(desk.refresh_failed)
        assert_says_why(await sign_in("carol", gateway), gateway)
        faults.clear()
        await let_in("carol", gateway)
        await desk.refreshed_after(await desk.token_ends())

        await postgres_of_its_own.off()
        await desk.works_without_refresh()
        assert_says_why(await sign_in("dora", gateway), gateway)
        async with httpx.AsyncClient(base_url=gateway.public, trust_env=False, verify=NO_TLS, timeout=60) as stranger:
            unread = {"Cookie": f"jarvis={new_session_id()}"}
            assert_problem(await stranger.get("/env", headers={**FETCH, **unread}), 503)
            assert (await stranger.get("/_gateway/readyz")).status_code == 503
        await desk.works()
        back = datetime.now(UTC)
        assert await postgres_of_its_own.on(port=urlsplit(database.dsn).port or 0) == database

        await let_in("dora", gateway)
        await desk.refreshed_after(back)
        await desk.active_after(back)
        assert not gateway.program.ended
