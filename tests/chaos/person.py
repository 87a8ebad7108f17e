"""Somebody who does not give up: asks whichever gateway answers until they are served, and notes how it went."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import httpx

from tests.chaos.stage import Stage
from tests.journeys.visitor import FETCH
from tests.parts.plain_http import NO_TLS

PATIENCE_S: Final = 90.0
PAUSE_S: Final = 0.2
FAIR: Final = {429, 502, 503, 504}
"""Answers that a gateway may give while it, its Machine or Fly is in trouble. Anything else is a finding."""


class Unserved(Exception):
    """Their patience ran out, or they got what nobody should ever get."""


@dataclass(slots=True)
class Told:
    """What somebody went through: answers by status (0: the connection broke), and the longest wait, seconds."""

    answers: Counter[int] = field(default_factory=Counter)
    longest_s: float = 0.0
    asked: int = 0


class Person:
    """A browser's cookies, before all replicas. `first` is the replica that they try first."""

    def __init__(self, stage: Stage, name: str, *, first: str = "one") -> None:
        self.email = f"{name}@example.com"
        self.told = Told()
        self._stage = stage
        self._turn = [first, *(other for other in stage.replicas if other != first)]
        self._http = httpx.AsyncClient(timeout=45, trust_env=False, verify=NO_TLS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def sign_in(self) -> None:
        """Through Google; the first replica has the address to which sign-ins come back."""
        query = {"next": "/_gateway/instance", "login_hint": self.email}
        await self._until("/auth/login", params=query, only="one", follow_redirects=True)

    async def visit(self) -> dict[str, Any]:
        """What their App says. Raises Unserved if it is somebody else's."""
        said: dict[str, Any] = (await self._until("/who", headers=FETCH)).json()
        if said["email"] != self.email:
            raise Unserved(f"{self.email} was shown the Machine of {said['email']}")
        return said

    async def write(self, note: str) -> None:
        """Leave something on their disk."""
        await self._until("/note", method="PUT", content=note.encode())

    async def _until(self, path: str, *, method: str = "GET", only: str | None = None, **given: Any) -> httpx.Response:
        began = time.monotonic()
        self.told.asked += 1
        seen: list[str] = []
        while time.monotonic() < began + PATIENCE_S:
            for name in [only] if only else self._turn:
                answer = await self._ask(method, self._stage.replicas[name].public + path, given)
                if answer is not None and answer.status_code == 200:
                    self.told.longest_s = max(self.told.longest_s, time.monotonic() - began)
                    return answer
                seen.append("broken" if answer is None else f"{answer.status_code} {answer.text[:160]}")
                if answer is not None and answer.status_code not in FAIR:
                    raise Unserved(f"{method} {path}: {seen[-1]}")
            await asyncio.sleep(PAUSE_S)
        raise Unserved(f"{method} {path}: not within {PATIENCE_S:g} s; last {seen[-3:]}")

    async def _ask(self, method: str, url: str, given: dict[str, Any]) -> httpx.Response | None:
        try:
            answer = await self._http.request(method, url, **given)
        except httpx.TransportError:
            self.told.answers[0] += 1
            return None
        self.told.answers[answer.status_code] += 1
        return answer
