"""Done once: a change that carries an `Idempotency-Key` is not done again under the same key, on any replica.

Only what was done is remembered, for a day. A refusal, and a failure, is not: the same key may try again.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Protocol

from aiohttp import web

from gateway.admin.ask import Refused
from gateway.errors import Answer
from gateway.session.vault import Unsealable, Vault
from provisioner.clock import Clock
from provisioner.operators import Operator

KEY_FIELD: Final = "Idempotency-Key"
REPLAYED_FIELD: Final = "Idempotency-Replayed"
KEY_MOST: Final = 255
KEPT: Final = timedelta(days=1)
GIVEN_UP: Final = timedelta(minutes=10)
"""A change that nobody finished for so long was begun by a replica that died; the same request may begin it again."""

BAD_KEY: Final = Answer(400, f"Bad {KEY_FIELD}", f"1–{KEY_MOST} printable ASCII characters without a space.")
RUNNING: Final = Answer(409, "Under way", "The same change, under the same key, is being made. Ask again.", 2)
USED_OTHERWISE: Final = Answer(422, "Key used otherwise", "This key was sent with another request. Take a new one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer as it went out. `sealed` is its body: some carry a secret that is shown once."""

    status: int
    content_type: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is known of a key. `ours`: nobody else has it, go on. Without `kept` somebody is at it."""

    ours: bool
    asked: bytes
    kept: Kept | None = None


class Keys(Protocol):
    """The keys on record."""

    async def claim(self, caller: str, key: str, asked: bytes, *, given_up: datetime, expired: datetime) -> Claim:
        """The key, taken now or as somebody took it. One begun before `given_up`, or kept before `expired`, is free."""

    async def keep(self, caller: str, key: str, kept: Kept) -> None: ...

    async def release(self, caller: str, key: str) -> None:
        """Nothing was done: whoever comes next may try."""


class Once:
    """Runs changes once each."""

    def __init__(self, keys: Keys, master_keys: Mapping[str, bytes], clock: Clock) -> None:
        self._keys, self._clock = keys, clock
        self._vault = Vault(master_keys, purpose="idempotency")

    async def run(
        self, request: web.Request, caller: Operator, change: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        """What `change` answers, now or when it was made the first time. Raises Refused, and what `change` raises."""
        key = request.headers.get(KEY_FIELD)
        if key is None:
            return await change()
        if not (1 <= len(key) <= KEY_MOST and key.isascii() and all("!" <= each <= "~" for each in key)):
            raise Refused(BAD_KEY)
        asked = await _fingerprint(request)
        now = self._clock.now()
        claim = await self._keys.claim(caller.name, key, asked, given_up=now - GIVEN_UP, expired=now - KEPT)
        if claim.asked != asked:
            raise Refused(USED_OTHERWISE)
        if not claim.ours:
            if claim.kept is None:
                raise Refused(RUNNING)
            return self._again(claim.kept, asked)
        try:
            answer = await change()
        except Exception:
            await self._keys.release(caller.name, key)
            raise
        body = answer.body if isinstance(answer.body, bytes) else b""
        sealed = self._vault.seal(body, about=asked)
        await self._keys.keep(
            caller.name, key, Kept(status=answer.status, content_type=answer.content_type, sealed=sealed)
        )
        return answer

    def _again(self, kept: Kept, asked: bytes) -> web.Response:
        try:
            body = self._vault.open(kept.sealed, about=asked)
        except Unsealable:  # its master key is gone; better no answer than the change made twice
            raise Refused(USED_OTHERWISE) from None
        headers = {"Content-Type": kept.content_type} if body else {}
        return web.Response(
            body=body or None,
            status=kept.status,
            headers={**headers, REPLAYED_FIELD: "true", "Cache-Control": "no-store"},
        )


async def _fingerprint(request: web.Request) -> bytes:
    body = await request.read()
    return sha256(b"\n".join((request.method.encode(), request.path_qs.encode(), body))).digest()
