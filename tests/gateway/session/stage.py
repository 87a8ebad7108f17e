"""A gateway that is nothing but its session room, on real sockets, before a local Supabase Auth and a real Postgres."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
from aiohttp import web

from gateway.session import cookie
from gateway.session.failures import SignInFailed
from gateway.session.identity import NotSameOrigin, NotSignedIn, SignInUnavailable
from gateway.session.room import SessionRoom, open_session_room
from gateway.session.sessions import Sessions
from gateway.session.settings import SessionSettings
from localcloud.auth import LocalAuth, local_auth
from localcloud.database import Database
from provisioner.store.changes import Announcements
from provisioner.store.database import connect
from tests.parts.plain_http import NO_TLS

KEYS = {"k1": b"1" * 32}
ADA, GRACE = "ada@example.com", "grace@example.com"


class MovableClock:
    """The true time, plus what a test lets pass: real sockets wait really, lifetimes of hours pass at once."""

    def __init__(self) -> None:
        self._passed = timedelta()
        self._loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._passed

    def monotonic(self) -> float:
        return self._loop.time() + self._passed.total_seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))

    def jitter(self) -> float:
        return 0.5

    def pass_(self, **duration: float) -> None:
        self._passed += timedelta(**duration)


@dataclass(frozen=True)
class Cloud:
    """What all replicas of a test share."""

    auth: LocalAuth
    dsn: str
    clock: MovableClock
    http: httpx.AsyncClient
    """For looking behind the scenes."""
    announced: Announcements

    async def pull(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.http.request(method, f"{self.auth.url}/_local{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def calls(self, grant: str) -> int:
        """How often /token was asked for this grant."""
        counted = await self.pull("GET", "/requests")
        return int(counted.get(f"POST /auth/v1/token?grant_type={grant}", {}).get("count", 0))

    async def fault(self, path: str, **fault: object) -> None:
        await self.pull("POST", "/faults", {"path": path, **fault})

    async def heal(self) -> None:
        await self.pull("DELETE", "/faults")


@asynccontextmanager
async def cloud_for_test(folder: Path, dsn: str, **project: Any) -> AsyncIterator[Cloud]:
    clock = MovableClock()
    project = {"site_url": "http://127.0.0.1", "now": clock.now, **project}
    async with (
        local_auth(folder, publishable_key="sb_publishable_test", secret_key="sb_secret_test", **project) as auth,
        httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http,
    ):
        yield Cloud(auth, dsn, clock, http, Announcements(dsn, clock))


@dataclass(frozen=True)
class Replica:
    """One gateway process's session room, and the address where it serves."""

    origin: str
    room: SessionRoom


@asynccontextmanager
async def replica(cloud: Cloud, *, origin: str | None = None, **settings: Any) -> AsyncIterator[Replica]:
    """Serves until the block ends. Every answer outside /auth is JSON that tells who asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = f"http://127.0.0.1:{listener.getsockname()[1]}"
        defaults: dict[str, Any] = {
            "public_origin": origin or here,
            "supabase_url": cloud.auth.url,
            "publishable_key": cloud.auth.publishable_key,
            "master_keys": KEYS,
        }
        async with (
            connect(cloud.dsn, max_size=5) as database,
            open_session_room(
                SessionSettings(**(defaults | settings)),
                database=database,
                clock=cloud.clock,
                client_ip=lambda request: request.remote,
            ) as room,
        ):
            runner = web.ServerRunner(web.Server(_edge(room)))
            await runner.setup()
            await web.SockSite(runner, listener).start()
            try:
                yield Replica(here, room)
            finally:
                await runner.cleanup()


def _edge(room: SessionRoom) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    doors = {
        "/auth/login": room.signin.login,
        "/auth/callback": room.signin.callback,
        "/auth/logout": room.signin.logout,
    }

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            if (door := doors.get(request.path)) is not None:
                return await door(request)
            who = await room.sessions.identify(
                request.headers.getall("Cookie", []), request.headers.get("Authorization")
            )
            return web.json_response({"user_id": str(who.user_id), "email": who.email, "at": request.path_qs})
        except SignInFailed as failed:
            answer = web.json_response({"kind": failed.kind, "retry": failed.retry_url}, status=failed.status)
            for value in failed.set_cookies:
                answer.headers.add("Set-Cookie", value)
            return answer
        except NotSignedIn as nobody:
            return web.json_response({"reason": nobody.reason}, status=401)
        except SignInUnavailable as unknown:
            return web.json_response({"cause": unknown.cause}, status=503)
        except NotSameOrigin:
            return web.json_response({}, status=403)

    return handle


class Browser:
    """Keeps cookies and follows redirects, one step at a time if asked."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.http = httpx.AsyncClient(base_url=home, trust_env=False, verify=NO_TLS, timeout=45)

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def get(self, url: str, **rest: Any) -> httpx.Response:
        return await self.http.get(url, **rest)

    async def follow(self, url: str) -> httpx.Response:
        """The end of the redirects, as a person gets to see it."""
        answer = await self.http.get(url, follow_redirects=True)
        assert isinstance(answer, httpx.Response)
        return answer

    async def sign_in(self, email: str = ADA, next_path: str = "/") -> httpx.Response:
        return await self.follow(
            str(httpx.URL(self.home + "/auth/login", params={"next": next_path, "login_hint": email}))
        )

    async def stop_before_callback(self, url: str) -> str:
        """Follow redirects up to the URL that would bring the browser back to the gateway."""
        answer = await self.http.get(url)
        while True:
            where = answer.headers["Location"]
            if urlsplit(where).path == "/auth/callback":
                return str(where)
            answer = await self.http.get(where)

    async def sign_out(self, **headers: str) -> httpx.Response:
        return await self.http.post("/auth/logout", headers={"Origin": self.home, **headers})

    @property
    def session_id(self) -> str:
        return self.cookie("jarvis") or ""

    def cookie(self, name: str) -> str | None:
        return next((c.value for c in self.http.cookies.jar if c.name == name), None)

    def cookies_named(self, prefix: str) -> list[str]:
        return [c.name for c in self.http.cookies.jar if c.name.startswith(prefix)]


def body(answer: httpx.Response) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(answer.content)
    return content


async def until(condition: Callable[[], Any], *, within: float = 5) -> None:
    """Wait for a condition (plain or async) to hold."""
    async with asyncio.timeout(within):
        while True:
            held = condition()
            if await held if asyncio.iscoroutine(held) else held:
                return
            await asyncio.sleep(0.01)


def new_key() -> bytes:
    return os.urandom(32)


def header(session_id: str) -> list[str]:
    return [f"jarvis={session_id}"]


async def access_token(cloud: Cloud, gateway: Replica, session_id: str) -> str:
    record = await gateway.room.sessions._records.read(cookie.hash_of(session_id))
    assert record is not None
    return record.granted.access_token


async def refresh_token(gateway: Replica, session_id: str) -> str:
    record = await gateway.room.sessions._records.read(cookie.hash_of(session_id))
    assert record is not None
    return record.granted.refresh_token


async def rows(database: Database) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database.dsn)
    try:
        return list(await connection.fetch("select * from gateway.sessions order by created_at"))
    finally:
        await connection.close()


def refreshed(sessions: Sessions, session_id: str, cloud: Cloud) -> object:
    cloud.clock.pass_(seconds=5)
    who = sessions.peek(session_id)
    if who is None:
        sessions._flights.begin("test", lambda: sessions.identify(header(session_id)))
    return who is not None and who.expires_at > cloud.clock.now() + timedelta(minutes=30)
