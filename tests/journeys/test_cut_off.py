"""Whatever ends my right to be in: what I have open ends within five seconds, at every replica, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.session.cookie import hash_of
from gateway.session.vault import Vault
from localcloud.database import Database
from tests.journeys.test_signing_in import assert_problem
from tests.journeys.visitor import FETCH, PAGE, Operator, Visitor, access_token, operator_of, together, websocket
from tests.parts.account import AccountVisitor
from tests.parts.plain_http import NO_TLS
from tests.parts.system import Replica, Served, served, until

WITHIN_S: Final = 5.0
VISIT_S: Final = 12.0
"""Of the visit that ends by itself: longer than opening three and ending two takes on a busy machine."""
COOKIE, EVENTS, LOGIN, OTHER_LOGIN, TOKEN = "cookie", "event stream", "its access token", "another login", "token"
ALL: Final = frozenset({COOKIE, EVENTS, LOGIN, OTHER_LOGIN, TOKEN})


@dataclass
class Scene:
    """Ada before two replicas, with everything open that one can have open."""

    ada: Visitor
    her: AccountVisitor
    operator: Operator
    auth: httpx.AsyncClient
    """The sign-in service, with the service's key."""
    user_id: str
    cookie: str
    """As somebody kept it who looked over her shoulder."""
    bearers: dict[str, str] = field(default_factory=dict)
    """By kind of token."""
    sockets: list[tuple[str, ClientConnection]] = field(default_factory=list)
    events: list["asyncio.Task[None]"] = field(default_factory=list)

    @property
    def proofs(self) -> dict[str, dict[str, str]]:
        """By kind, what she shows, whether it opens anything or not."""
        bearers = {kind: {"Authorization": f"Bearer {token}"} for kind, token in self.bearers.items()}
        return {COOKIE: {"Cookie": self.cookie}} | bearers

    async def only(self, cut: frozenset[str]) -> None:
        """Fails unless these end WITHIN_S at every replica, and everything else goes on."""

        async def closed(kind: str, socket: ClientConnection) -> None:
            with pytest.raises(ConnectionClosed):
                await socket.recv()

        async with asyncio.timeout(WITHIN_S):
            await together(*(closed(*each) for each in self.sockets if each[0] in cut))
            if EVENTS in cut:
                await asyncio.wait(self.events)
        for _, socket in (each for each in self.sockets if each[0] not in cut):
            await socket.send("still here")
            assert await socket.recv() == "still here"
        assert all(stream.done() == (EVENTS in cut) for stream in self.events)


@pytest.fixture
async def cloud(tmp_path: Path, database: Database) -> AsyncIterator[Served]:
    async with served(tmp_path, database) as cloud:
        cloud.auth.project.rate_burst = 1_000
        yield cloud


@asynccontextmanager
async def everything_open(
    cloud: Served, database: Database, replicas: list[Replica], *, name: str
) -> AsyncIterator[Scene]:
    """A browser at both origins, two logins at Supabase, a personal token; a stream of each at each replica."""
    one = replicas[0]
    key = cloud.auth.secret_key
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ada = await enter(Visitor(f"{name}@example.com", one.public))
        her = await enter(AccountVisitor(ada.email, one.public))
        assert (await ada.sign_in()).status_code == (await her.sign_in()).status_code == 200
        operator = await enter(operator_of(one))
        headers = {"apikey": key, "Authorization": f"Bearer {key}"}
        auth = await enter(httpx.AsyncClient(base_url=cloud.auth.url, headers=headers, trust_env=False, verify=NO_TLS))
        scene = Scene(ada, her, operator, auth, await operator.user_id(ada.email), ada.cookie)
        scene.bearers = {
            LOGIN: await token_behind(ada, database),
            OTHER_LOGIN: await access_token(
                cloud.auth.url, cloud.auth.publishable_key, email=ada.email, back_to=f"{one.public}/auth/callback?s=x"
            ),
            TOKEN: await her.new_token("app"),
        }

        async def open_socket(replica: Replica, kind: str, proof: dict[str, str]) -> None:
            socket = await enter(websocket(replica.public, "/ws", proof))
            await socket.send("hello")
            assert await socket.recv() == "hello"
            scene.sockets.append((kind, socket))

        await together(*(open_socket(replica, *each) for replica in replicas for each in scene.proofs.items()))
        for replica in replicas:
            begun = asyncio.Event()
            stream = asyncio.ensure_future(follow(replica.public, ada.cookie, begun))
            stack.callback(stream.cancel)
            scene.events.append(stream)
            await begun.wait()
        yield scene


async def follow(public: str, cookie: str, begun: asyncio.Event) -> None:
    """Read an endless event stream to its end."""
    headers = {"Cookie": cookie, "Accept": "text/event-stream"}
    async with httpx.AsyncClient(base_url=public, trust_env=False, verify=NO_TLS, timeout=60) as http:
        try:
            async with http.stream("GET", "/sse?n=100000&interval_ms=50", headers=headers) as answer:
                async for _ in answer.aiter_lines():
                    begun.set()
        except httpx.TransportError:
            return


async def token_behind(ada: Visitor, database: Database) -> str:
    """The access token of Supabase's that the session of her browser stands on."""
    id_hash = hash_of(ada.http.cookies["jarvis"])
    connection = await asyncpg.connect(database.dsn)
    sealed = await connection.fetchval("select access_token from gateway.sessions where id_hash = $1", id_hash)
    await connection.close()
    return Vault({"j": bytes(range(32))}, purpose="session-tokens").open(sealed, about=id_hash).decode()


async def sign_out_here(scene: Scene) -> None:
    origin = {"Origin": scene.ada.public}
    answer = await scene.ada.http.post("/auth/logout", headers={**PAGE, **origin}, follow_redirects=False)
    assert answer.status_code == 303


async def end_it_in_the_list(scene: Scene) -> None:
    listed = await scene.her.page("/sessions")
    assert hash_of(scene.ada.http.cookies["jarvis"]).hex() in listed
    await scene.her.press("/sessions/end", session=hash_of(scene.ada.http.cookies["jarvis"]).hex())


async def sign_out_everywhere(scene: Scene) -> None:
    await scene.her.press("/sessions/end-all")


async def revoke_the_token(scene: Scene) -> None:
    await scene.her.press("/tokens/end", token=scene.bearers[TOKEN][7:19])


async def sign_out_at_supabase(scene: Scene) -> None:
    bearer = {"Authorization": f"Bearer {scene.bearers[OTHER_LOGIN]}"}
    answer = await scene.auth.post("/auth/v1/logout?scope=global", headers=bearer)
    assert answer.status_code == 204


async def ban_at_supabase(scene: Scene) -> None:
    path = f"/auth/v1/admin/users/{scene.user_id}"
    assert (await scene.auth.put(path, json={"ban_duration": "24h"})).status_code == 200


async def ban_who_has_no_session(scene: Scene) -> None:
    """Programs are all that is left of them: no refresh of ours would ever hear of it."""
    await sign_out_here(scene)
    await scene.her.press("/auth/logout")
    await scene.only(SESSION)
    await ban_at_supabase(scene)


async def suspend(scene: Scene) -> None:
    assert (await scene.operator.http.post(f"/v1/signups/{scene.user_id}/suspend")).status_code == 200


async def delete_at_supabase(scene: Scene) -> None:
    assert (await scene.auth.delete(f"/auth/v1/admin/users/{scene.user_id}")).status_code == 200


async def delete_my_account(scene: Scene) -> None:
    answer = await scene.her.press("/delete", confirm=scene.her.email, follow=False)
    assert answer.headers["Location"] == "/goodbye"


End = Callable[[Scene], Awaitable[None]]
SESSION: Final = frozenset({COOKIE, EVENTS, LOGIN})
ENDS: Final[dict[End, frozenset[str]]] = {
    sign_out_here: SESSION,
    end_it_in_the_list: SESSION,
    revoke_the_token: frozenset({TOKEN}),
    sign_out_everywhere: ALL - {TOKEN},
    sign_out_at_supabase: ALL - {TOKEN},
    suspend: ALL,
    ban_at_supabase: ALL,
    ban_who_has_no_session: ALL,
    delete_at_supabase: ALL,
    delete_my_account: ALL,
}


async def test_what_ends_my_right_to_be_in_ends_what_i_have_open_at_every_replica(
    cloud: Served, database: Database
) -> None:
    """And whoever still has the cookie or the token finds the door closed at both."""
    replicas = list(await together(cloud.replica("one"), cloud.replica("two")))
    for end, cut in ENDS.items():
        name = end.__name__ if end in (delete_at_supabase, delete_my_account) else "ada"
        async with everything_open(cloud, database, replicas, name=name) as scene:
            await end(scene)
            await scene.only(cut)
            await together(
                *(
                    assert_closed(replica, proof, kind in cut)
                    for replica in replicas
                    for kind, proof in scene.proofs.items()
                )
            )
            if name != "ada":
                continue
            # So that the next row finds her as she was, and a second later: tokens tell their time in whole ones.
            over = int(time.time())
            await until(lambda over=over: past(over))
            await scene.operator.http.post(f"/v1/signups/{scene.user_id}/admit")
            await scene.auth.put(f"/auth/v1/admin/users/{scene.user_id}", json={"ban_duration": "none"})


async def past(second: int) -> bool:
    return int(time.time()) > second


@dataclass
class Guest:
    """An operator at Ada's Machine, before one replica: a WebSocket and an event stream."""

    operator: str
    visit: str
    cookie: str
    socket: ClientConnection
    events: "asyncio.Task[None]"

    async def out(self, replica: Replica) -> None:
        """Fails unless both end WITHIN_S from now, and the cookie opens nothing."""
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(ConnectionClosed):
                await self.socket.recv()
            await asyncio.wait({self.events})
        await assert_closed(replica, {"Cookie": self.cookie}, True)

    async def inside(self) -> None:
        await self.socket.send("still here")
        assert await self.socket.recv() == "still here"
        assert not self.events.done()


async def come_in(stack: AsyncExitStack, operator: Operator, user_id: str, name: str, *, opens: Replica) -> Guest:
    """A visit by a new operator, whose link is opened at the first replica, with streams at `opens`."""
    made = await operator.http.post("/v1/operators", json={"name": name, "role": "operator"})
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    asked = {"reason": "To see how a visit ends", "minutes": 10}
    told = (await operator.http.post(f"/v1/instances/{user_id}/visit", json=asked, headers=bearer)).json()
    link = httpx.URL(told["url"])
    async with httpx.AsyncClient(trust_env=False) as browser:
        origin = {"Origin": str(link.copy_with(raw_path=b"/")).rstrip("/")}
        opened = await browser.post(link.copy_with(query=None), data=dict(link.params), headers=origin)
        assert opened.status_code == 303, opened.text
        cookie = f"jarvis={browser.cookies['jarvis']}"
    if name == "by-time":  # nobody has read the row yet: for this one the time is short
        soon = "update gateway.visits set expires_at = clock_timestamp() + $2::interval where id = $1"
        await operator.rows.execute(soon, told["id"], timedelta(seconds=VISIT_S))
    socket = await stack.enter_async_context(websocket(opens.public, "/ws", {"Cookie": cookie}))
    begun = asyncio.Event()
    events = asyncio.ensure_future(follow(opens.public, cookie, begun))
    stack.callback(events.cancel)
    await begun.wait()
    guest = Guest(name, told["id"], cookie, socket, events)
    await guest.inside()
    return guest


async def test_a_visit_ends_at_the_other_replica_too(cloud: Served, database: Database) -> None:
    """Whatever ends it: I do, their token is revoked, or its time is over. And no other visit with it."""
    one, two = await together(cloud.replica("one"), cloud.replica("two"))
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ada = await enter(Visitor("ada@example.com", one.public))
        her = await enter(AccountVisitor(ada.email, one.public))
        assert (await ada.sign_in()).status_code == (await her.sign_in()).status_code == 200
        operator = await enter(operator_of(one))
        user_id = await operator.user_id(ada.email)
        late, mine, revoked = [
            await come_in(stack, operator, user_id, name, opens=two) for name in ("by-time", "by-me", "by-revocation")
        ]
        assert "is over" in (await her.press("/visits/end", visit=mine.visit)).text
        await mine.out(two)
        await revoked.inside()
        assert (await operator.http.delete(f"/v1/operators/{revoked.operator}")).status_code == 200
        await revoked.out(two)

        async def over() -> bool:
            return bool(
                await operator.rows.fetchval("select now() > expires_at from gateway.visits where id = $1", late.visit)
            )

        await late.inside()
        await until(over, within=VISIT_S + 20)
        await late.out(two)
        async with ada.at(two.public) as there:
            assert (await there.env())["USER_EMAIL"] == ada.email


async def assert_closed(replica: Replica, proof: dict[str, str], closed: bool) -> None:
    async with httpx.AsyncClient(base_url=replica.public, trust_env=False, verify=NO_TLS, timeout=45) as http:
        answer = await http.get("/env", headers={**FETCH, **proof})
    if closed:
        assert_problem(answer, answer.status_code)
        assert answer.status_code in (401, 403)
    else:
        assert answer.status_code == 200
