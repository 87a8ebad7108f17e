"""Webhooks and their deliveries in Postgres; their secrets sealed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import structlog

from gateway.session.vault import Unsealable, Vault
from gateway.webhooks.signing import new_secret
from provisioner.audit import Entry
from provisioner.clock import Clock

log = structlog.get_logger(__name__)

LOOKED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Somebody outside who hears of these actions. `waiting` and `dead` count deliveries."""

    id: UUID
    url: str
    actions: Sequence[str]
    created_at: datetime
    created_by: str
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One row of the audit log for one webhook, and what became of it."""

    id: UUID
    webhook_id: UUID
    audit_id: int
    status: str
    tries: int
    next_try_at: datetime
    answered: int | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A delivery that this replica sends now."""

    delivery_id: UUID
    webhook_id: UUID
    tries: int
    url: str
    secret: str = field(repr=False)
    entry: Entry


class WebhookBook:
    """The queries of sql/queries/webhooks.sql."""

    def __init__(self, pool: Any, queries: Any, clock: Clock, master_keys: Mapping[str, bytes]) -> None:
        """`queries` are handed in with the pool by the composition root."""
        self._pool, self._sql, self._clock = pool, queries, clock
        self._vault = Vault(master_keys, purpose="webhooks")

    async def add(self, url: str, actions: Sequence[str], *, actor: str) -> tuple[Webhook, str]:
        """A new webhook and its secret, which nobody is shown again."""
        id, secret = uuid4(), new_secret()
        sealed = self._vault.seal(secret.encode(), about=id.bytes)
        row = await self._sql.add_webhook(
            self._pool,
            id=id,
            url=url,
            actions=list(actions),
            sealed_secret=sealed,
            actor=actor,
            now=self._clock.now(),
        )
        return Webhook(**dict(row)), secret

    async def all(self) -> Sequence[Webhook]:
        return [Webhook(**dict(row)) async for row in self._sql.all_webhooks(self._pool)]

    async def remove(self, id: UUID, *, actor: str) -> bool:
        """False: there is none."""
        return await self._sql.remove_webhook(self._pool, id=id, actor=actor, now=self._clock.now()) is not None

    async def test(self, id: UUID, *, actor: str) -> Delivery | None:
        """A delivery of nothing but a test, to be sent at once. None: there is no such webhook."""
        row = await self._sql.test_webhook(self._pool, id=id, actor=actor, now=self._clock.now())
        return None if row is None else Delivery(**dict(row))

    async def deliveries(
        self, id: UUID, *, status: str | None, before: int | None, limit: int
    ) -> Sequence[Delivery] | None:
        """Newest first. None: there is no such webhook."""
        if not await self._sql.webhook_exists(self._pool, id=id):
            return None
        rows = self._sql.deliveries_of(self._pool, id=id, status=status, before=before, most=limit)
        return [Delivery(**dict(row)) async for row in rows]

    async def retry(self, id: UUID, delivery_id: UUID) -> Delivery | None:
        """Try it at once. None: there is none, or it arrived."""
        row = await self._sql.retry_delivery(self._pool, id=delivery_id, webhook_id=id, now=self._clock.now())
        return None if row is None else Delivery(**dict(row))

    async def fan_out(self, *, now: datetime) -> int:
        """Make deliveries of what was written; how many rows were looked at."""
        looked: int = await self._sql.fan_out(self._pool, most=LOOKED_AT_ONCE, now=now)
        return looked

    async def claim(self, *, now: datetime, until: datetime, most: int) -> Sequence[Parcel]:
        parcels = []
        async for row in self._sql.claim_deliveries(self._pool, now=now, until=until, most=most):
            told = dict(row)
            try:
                secret = self._vault.open(bytes(told["sealed_secret"]), about=told["webhook_id"].bytes).decode()
            except Unsealable:
                # Its master key was taken away. It stays claimed, and is looked at again: the key may come back.
                log.warning("webhook_unsealable", webhook=str(told["webhook_id"]))
                continue
            facts = {name: told[name] for name in Entry.__dataclass_fields__}
            parcels.append(
                Parcel(
                    delivery_id=told["delivery_id"],
                    webhook_id=told["webhook_id"],
                    tries=told["tries"],
                    url=told["url"],
                    secret=secret,
                    entry=Entry(**{**facts, "hash": bytes(told["hash"])}),
                )
            )
        return parcels

    async def end(
        self, delivery_id: UUID, status: str, *, next_try_at: datetime | None, answered: int | None, error: str | None
    ) -> None:
        await self._sql.end_delivery(
            self._pool,
            id=delivery_id,
            status=status,
            next_try_at=next_try_at,
            answered=answered,
            error=error,
            now=self._clock.now(),
        )

    async def forget(self, *, before: datetime) -> None:
        """Drop what was finished before then."""
        await self._sql.forget_deliveries(self._pool, before=before)
