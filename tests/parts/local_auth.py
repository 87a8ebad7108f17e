"""A local Auth server for a test, a clock to set it by, and a browser-less person who signs in."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from localcloud.auth import LocalAuth, local_auth
from tests.parts.plain_http import NO_TLS

PUBLISHABLE = "sb_publishable_for_tests"
SECRET = "sb_secret_for_tests"
SITE_URL = "http://gateway.test:8080"
RETURN_TO = f"{SITE_URL}/auth/callback"


class ShiftedClock:
    """The true time plus what a test has let pass, so that tokens are good to verifiers with a true clock."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def advance(self, **duration: float) -> None:
        self.shift += timedelta(**duration)


@asynccontextmanager
async def auth_for_test(data_dir: Path, **settings: Any) -> AsyncIterator[LocalAuth]:
    """A local Auth server with the keys and site of this module."""
    defaults: dict[str, Any] = {"site_url": SITE_URL, "publishable_key": PUBLISHABLE, "secret_key": SECRET}
    async with local_auth(data_dir, **(defaults | settings)) as auth:
        yield auth


def new_verifier() -> str:
    return secrets.token_urlsafe(48)


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def query_of(url: str) -> dict[str, str]:
    """The query of a URL, one value per name."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


def fragment_of(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).fragment, keep_blank_values=True).items()}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a browser (`http`, which follows no redirect by itself) before this Auth server."""

    auth: LocalAuth
    http: httpx.AsyncClient

    @property
    def headers(self) -> dict[str, str]:
        return {"apikey": PUBLISHABLE}

    async def authorize(self, email: str | None = None, **query: str) -> httpx.Response:
        """GET /authorize, for an S256 flow unless `query` says otherwise."""
        hint = {"login_hint": email} if email else {}
        params = {"provider": "google", "redirect_to": RETURN_TO, **hint, **query}
        return await self.http.get(f"{self.auth.url}/auth/v1/authorize", params=params)

    async def arrive(self, email: str, **query: str) -> str:
        """Through Google and back; where the browser is sent in the end, out of Auth's hands."""
        response = await self.authorize(email, **query)
        while urlsplit(response.headers["Location"]).netloc == urlsplit(self.auth.url).netloc:
            response = await self.http.get(response.headers["Location"])
        return str(response.headers["Location"])

    async def code(self, email: str, verifier: str) -> str:
        url = await self.arrive(email, code_challenge=challenge_of(verifier), code_challenge_method="s256")
        return query_of(url)["code"]

    async def token(self, grant: str, body: object, **headers: str) -> httpx.Response:
        return await self.http.post(
            f"{self.auth.url}/auth/v1/token",
            params={"grant_type": grant},
            json=body,
            headers={**self.headers, **headers},
        )

    async def sign_in(self, email: str) -> dict[str, Any]:
        """The whole token answer of a fresh session."""
        verifier = new_verifier()
        body = {"auth_code": await self.code(email, verifier), "code_verifier": verifier}
        response = await self.token("pkce", body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    async def refresh(self, refresh_token: str, **headers: str) -> httpx.Response:
        return await self.token("refresh_token", {"refresh_token": refresh_token}, **headers)

    async def call(self, method: str, path: str, token: str | None = None, **rest: Any) -> httpx.Response:
        """Any other path of Auth, as the bearer of `token`."""
        headers = {**self.headers, **({"Authorization": f"Bearer {token}"} if token else {}), **rest.pop("headers", {})}
        return await self.http.request(method, f"{self.auth.url}/auth/v1{path}", headers=headers, **rest)

    async def administer(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """As the holder of the secret key."""
        return await self.call(method, f"/admin{path}", SECRET, headers={"apikey": SECRET}, **rest)

    async def pull(self, method: str, path: str, body: object = None) -> httpx.Response:
        """A string under /_local."""
        return await self.http.request(method, f"{self.auth.url}/_local{path}", json=body)


@asynccontextmanager
async def person_at(auth: LocalAuth) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
        yield Person(auth, http)
