"""Who takes part in a journey: people with a cookie jar, an operator, and somebody at Fly's counter."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol, Self
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.parts.local_fly import FlyCaller
from tests.parts.plain_http import NO_TLS
from tests.parts.system import until

PAGE: Final = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FETCH: Final = {"Accept": "application/json", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
PATIENCE_S: Final = 45.0
"""Longer than the gateway holds a request, so that the gateway is the one to give up."""


class Place(Protocol):
    """A running gateway with its cloud: `System` or `Replica`."""

    public: str
    admin: str
    fly: str
    auth: str
    database: str
    admin_token: str

    @property
    def fly_token(self) -> str: ...


class Visitor:
    """A person with a browser of their own."""

    def __init__(self, email: str, public: str) -> None:
        self.email, self.public = email, public
        self.http = httpx.AsyncClient(
            base_url=public, follow_redirects=True, timeout=PATIENCE_S, trust_env=False, verify=NO_TLS
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def sign_in(self, next_path: str = "/env") -> httpx.Response:
        """Through Google and back to `next_path`, by following redirects."""
        return await self.http.get("/auth/login", params={"next": next_path, "login_hint": self.email})

    async def env(self) -> dict[str, Any]:
        """What their App knows about itself."""
        answer = await self.http.get("/env", headers=FETCH)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def progress(self) -> dict[str, Any]:
        """What the loading page would show now."""
        answer = await self.http.get("/_gateway/instance", headers=FETCH)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    @property
    def cookie(self) -> str:
        """Their cookies as a header's value."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies.jar)

    def at(self, public: str) -> "Visitor":
        """The same browser, its cookies included, before another replica."""
        other = Visitor(self.email, public)
        other.http.cookies.update(self.http.cookies)
        return other

    def websocket(self, path: str = "/ws", **options: Any) -> AbstractAsyncContextManager[ClientConnection]:
        return websocket(self.public, path, {"Cookie": self.cookie}, **options)


def websocket(
    public: str, path: str, headers: dict[str, str], **options: Any
) -> AbstractAsyncContextManager[ClientConnection]:
    """A WebSocket for the block. Without pings unless `options` say otherwise."""
    options = {"ping_interval": None, "open_timeout": PATIENCE_S, "proxy": None} | options
    return connect(public.replace("http", "ws", 1) + path, additional_headers=headers, **options)


async def access_token(auth: str, publishable_key: str, *, email: str, back_to: str) -> str:
    """A Supabase access token, as a program gets it that speaks to Supabase Auth by itself."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "provider": "google",
        "redirect_to": back_to,
        "login_hint": email,
        "code_challenge": challenge,
        "code_challenge_method": "s256",
    }
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS, headers={"apikey": publishable_key}) as http:
        answer = await http.get(f"{auth}/auth/v1/authorize", params=query)
        while urlsplit(answer.headers["Location"]).netloc == urlsplit(auth).netloc:
            answer = await http.get(answer.headers["Location"])
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        body = {"auth_code": code, "code_verifier": verifier}
        granted = await http.post(f"{auth}/auth/v1/token?grant_type=pkce", json=body)
        granted.raise_for_status()
        return str(granted.json()["access_token"])


@dataclass(frozen=True, slots=True)
class Operator:
    """Holds the admin token, a look into the database, and the local Fly's strings."""

    http: httpx.AsyncClient = field(repr=False)
    rows: asyncpg.Pool = field(repr=False)
    fly: FlyCaller = field(repr=False)

    async def user_id(self, email: str) -> str:
        return str(await self.rows.fetchval("select user_id from public.user_instances where email = $1", email))

    async def show(self, email: str) -> dict[str, Any]:
        """The Instance as the admin API shows it."""
        answer = await self.http.get(f"/v1/instances/{await self.user_id(email)}")
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    async def act(self, email: str, action: str) -> dict[str, Any]:
        """start, suspend, stop or restart; answers when it is so."""
        answer = await self.http.post(f"/v1/instances/{await self.user_id(email)}/{action}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def destroy(self, email: str) -> None:
        answer = await self.http.delete(f"/v1/instances/{await self.user_id(email)}")
        assert answer.status_code == 204, answer.text

    async def states(self, email: str) -> list[str]:
        """Every state that their Instance has been in, in order, by the audit log."""
        rows = await self.rows.fetch(
            "select to_state from gateway.audit_log where user_id = $1::uuid order by id", await self.user_id(email)
        )
        return [row["to_state"] for row in rows if row["to_state"]]

    async def machines(self, email: str) -> list[dict[str, Any]]:
        """Their Machines at the local Fly, destroyed ones left out."""
        name = await self.rows.fetchval("select machine_name from public.user_instances where email = $1", email)
        _, told = await self.fly("GET", "/_local/machines")
        return [m for m in told["machines"] if m["name"] == name and m["state"] not in ("destroyed", "destroying")]

    async def machine(self, email: str) -> dict[str, Any]:
        """Their one Machine."""
        found = await self.machines(email)
        assert len(found) == 1, found
        return found[0]

    async def volumes(self, email: str) -> list[dict[str, Any]]:
        """Disks at Fly that were made for them."""
        row = await self.rows.fetchrow("select * from public.user_instances where email = $1", email)
        assert row is not None
        return await self.volumes_named(row["app_name"], "jarvis_" + row["machine_name"].rpartition("-")[2])

    async def volumes_named(self, app: str, name: str) -> list[dict[str, Any]]:
        volumes = await self._at_fly("GET", f"/apps/{app}/volumes")
        return [v for v in volumes if v["name"] == name and "destroy" not in v["state"]]

    async def behind_our_back(self, email: str, verb: str) -> None:
        """Suspend or stop their Machine at Fly, as if by hand: the gateway is not told. Returns when it is so."""
        shown = await self.show(email)
        path = f"/apps/{shown['app_name']}/machines/{shown['machine_id']}"
        await self._at_fly("POST", f"{path}/{verb}")
        state = {"suspend": "suspended", "stop": "stopped"}[verb]
        seen = await self._at_fly("GET", path)
        query = {"state": state, "timeout": "20", "instance_id": seen["instance_id"]}
        await self._at_fly("GET", f"{path}/wait", query=query)

    async def _at_fly(self, method: str, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        """What Fly says, asked until there is a turn for us: it counts our calls with the gateway's."""

        async def said() -> list[Any]:
            status, told = await self.fly(method, path, query=query)
            assert status in (200, 429), told
            return [told] if status == 200 else []

        (told,) = await until(said)
        return told

    async def calls(self, action: str, email: str) -> list[dict[str, Any]]:
        """What Fly was asked about their Machine, by action such as `start_machine`."""
        machine_id = (await self.machine(email))["id"]
        _, told = await self.fly("GET", "/_local/requests", query={"action": action, "machine_id": machine_id})
        found: list[dict[str, Any]] = told["requests"]
        return found

    async def latencies(self, **seconds: float) -> None:
        status, told = await self.fly("PUT", "/_local/latencies", seconds)
        assert status == 200, told

    async def fault(self, action: str, fault: dict[str, Any], *, times: int | None = 1) -> None:
        """Let `times` calls (None: all) of an action at Fly go wrong."""
        rule = {"match": {"action": action}, "times": times, "fault": fault}
        status, told = await self.fly("POST", "/_local/faults", rule)
        assert status == 201, told

    async def heal(self) -> None:
        """No more trouble, and everything as quick as before."""
        await self.fly("DELETE", "/_local/faults")
        await self.latencies(create=0.05, start=0.02, resume=0.02, suspend=0.05, stop=0.0, volume=0.0)


@asynccontextmanager
async def operator_of(place: Place) -> AsyncIterator[Operator]:
    headers = {"Authorization": f"Bearer {place.admin_token}"}
    async with (
        asyncpg.create_pool(place.database, min_size=0, max_size=3) as rows,
        httpx.AsyncClient(base_url=place.admin, headers=headers, timeout=70, trust_env=False, verify=NO_TLS) as http,
        FlyCaller(place.fly, place.fly_token) as fly,
    ):
        yield Operator(http, rows, fly)


def statuses(answers: Sequence[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


async def together(*visits: Any) -> list[Any]:
    """All at once; what each gave, in order."""
    return list(await asyncio.gather(*visits))
