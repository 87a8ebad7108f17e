"""What the admin room keeps in, and asks of, Postgres."""

from datetime import datetime
from typing import Any

from gateway.admin.keys import Claim, Kept
from provisioner.clock import Clock


class AdminBook:
    """`gateway.admin.keys.Keys` and `gateway.admin.sessions.SessionRecords`, on record."""

    def __init__(self, pool: Any, queries: Any, clock: Clock) -> None:
        """`queries`: those of sql/queries/admin.sql."""
        self._pool, self._queries, self._clock = pool, queries, clock

    async def claim(self, caller: str, key: str, asked: bytes, *, given_up: datetime, expired: datetime) -> Claim:
        row = None
        while row is None:
            row = await self._queries.claim_key(
                self._pool,
                caller=caller,
                key=key,
                asked=asked,
                now=self._clock.now(),
                given_up=given_up,
                expired=expired,
            )
        kept = None
        if row["status"] is not None:
            kept = Kept(status=row["status"], content_type=row["content_type"], sealed=bytes(row["sealed"]))
        return Claim(ours=row["ours"], asked=bytes(row["asked"]), kept=kept)

    async def keep(self, caller: str, key: str, kept: Kept) -> None:
        await self._queries.keep_answer(
            self._pool,
            caller=caller,
            key=key,
            status=kept.status,
            content_type=kept.content_type,
            sealed=kept.sealed,
        )

    async def release(self, caller: str, key: str) -> None:
        await self._queries.release_key(self._pool, caller=caller, key=key)

    async def begin_session(self, id_hash: bytes, token_hash: bytes, *, expires_at: datetime) -> None:
        await self._queries.begin_operator_session(
            self._pool, id_hash=id_hash, token_hash=token_hash, now=self._clock.now(), expires_at=expires_at
        )

    async def token_of_session(self, id_hash: bytes) -> bytes | None:
        token: bytes | None = await self._queries.token_of_session(self._pool, id_hash=id_hash, now=self._clock.now())
        return token

    async def end_session(self, id_hash: bytes) -> None:
        await self._queries.end_operator_session(self._pool, id_hash=id_hash)
