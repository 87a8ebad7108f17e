"""People who are signed in, and how long their requests take."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import aiohttp

from bench.lifecycle.stage import Stage
from bench.processes import Failed

HEADERS: Final = {"Accept": "application/json", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
"""A request that is held until there is an answer, unlike a page."""
AT_ONCE: Final = 8
PATIENCE_S: Final = 60.0


class People:
    """Everybody's requests, from one client without a limit on connections."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def sign_in(self, names: Sequence[str]) -> list[str]:
        """Their cookies. Nobody has been to their Machine yet."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> str:
            async with places:
                return await self._sign_in(name)

        return list(await asyncio.gather(*(one(name) for name in names)))

    async def visit(self, cookie: str) -> float:
        """Seconds until the App's answer. Raises Failed if it is any other answer.

        On a bare connection: a hundred requests of a whole client are a tenth of a second of the core that it shares
        with Postgres and Fly, and would be taken for the gateway's time.
        """
        url = urlsplit(self._stage.public)
        lines = {"Host": url.netloc, "Connection": "close", **HEADERS, "Cookie": cookie}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        began = time.perf_counter()
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            try:
                writer.write(f"GET / HTTP/1.1\r\n{head}\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
        took = time.perf_counter() - began
        if not answer.startswith(b"HTTP/1.1 200 ") or b'"machine"' not in answer:
            raise Failed(answer[9:400].decode("utf-8", "replace") or "no answer")
        return took

    async def order(self, user_id: object, verb: str) -> None:
        """What an operator may: `suspend`, `stop`. Returns when it is so; raises Failed."""
        stage = self._stage
        headers = {"Authorization": f"Bearer {stage.admin_token}"}
        async with self._http.post(f"{stage.admin}/v1/instances/{user_id}/{verb}", headers=headers) as answer:
            if answer.status != 200:
                raise Failed(f"{verb}: {answer.status} {(await answer.text())[:300]}")

    async def _sign_in(self, name: str) -> str:
        url = f"{self._stage.public}/auth/login?next=/_gateway/instance&login_hint={name}@example.com"
        cookies: dict[str, str] = {}
        for _ in range(12):
            header = {"Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items())}
            async with self._http.get(url, allow_redirects=False, headers=header) as answer:
                for key, morsel in answer.cookies.items():
                    cookies[key] = morsel.value
                if "jarvis" in answer.cookies:
                    return f"jarvis={cookies['jarvis']}"
                if "Location" not in answer.headers:
                    raise Failed(f"{name} could not sign in: {answer.status} {(await answer.text())[:300]}")
                url = urljoin(url, answer.headers["Location"])
        raise Failed(f"{name} was sent around in circles")
