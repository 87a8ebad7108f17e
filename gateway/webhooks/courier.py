"""Sends what webhooks wait for, and tries again what did not arrive."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Protocol

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from gateway.webhooks.aim import BadAim, PublicResolver, checked
from gateway.webhooks.book import Parcel, WebhookBook
from gateway.webhooks.signing import signed
from provisioner.audit import Entry
from provisioner.backoff import backoff
from provisioner.clock import Clock

log = structlog.get_logger(__name__)

TRIES_MOST: Final = 14
"""With the pauses below, a receiver may be away for a day and a half and misses nothing."""
FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 6 * 3600.0
AT_ONCE: Final = 16
PATIENCE: Final = ClientTimeout(total=15, sock_connect=5)
CLAIMED_FOR: Final = timedelta(seconds=60)
KEPT: Final = timedelta(days=30)
LOOK_EVERY_S: Final = 5.0
"""How often we look for what is due, when no news come."""
TOGETHER_S: Final = 0.5
"""At least, between two looks: a crowd that wakes writes many rows in a moment, and one look finds them all."""
FORGET_EVERY_S: Final = 3600.0

Status = Literal["waiting", "delivered", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a receiver did. `answered` is its HTTP status, None if there was none."""

    answered: int | None = None
    error: str | None = None


def verdict(tried: Tried, tries: int) -> Status:
    """What becomes of a delivery after its try number `tries`, counted from 1."""
    if tried.answered is not None and 200 <= tried.answered < 300:
        return "delivered"
    if tried.answered == 410:  # gone for good, says the receiver
        return "dead"
    return "dead" if tries >= TRIES_MOST else "waiting"


class News(Protocol):
    """When the audit log grows."""

    def grown(self) -> asyncio.Event: ...
    async def wait(self, grown: asyncio.Event, *, within_s: float) -> bool: ...


class Courier:
    """Runs until cancelled. Several replicas may: each delivery is claimed by one."""

    def __init__(
        self,
        book: WebhookBook,
        news: News,
        clock: Clock,
        *,
        show: Callable[[Entry], dict[str, Any]],
        private: bool,
    ) -> None:
        """`show` says a row of the log as JSON. `private` admits private addresses and plain HTTP."""
        self._book, self._news, self._clock = book, news, clock
        self._show, self._private = show, private

    async def run(self) -> None:
        forgets_at = self._clock.monotonic()
        async with self._session() as http:
            while True:
                grown, began = self._news.grown(), self._clock.monotonic()
                try:
                    if began >= forgets_at:
                        await self._book.forget(before=self._clock.now() - KEPT)
                        forgets_at = began + FORGET_EVERY_S
                    busy = await self.round(http)
                except Exception as fault:
                    log.warning("webhooks_stumbled", error=repr(fault))
                    busy = False
                if not busy:
                    await self._news.wait(grown, within_s=LOOK_EVERY_S)
                    await self._clock.sleep(max(0.0, began + TOGETHER_S - self._clock.monotonic()))

    async def round(self, http: ClientSession) -> bool:
        """Everything once; True if there may be more."""
        now = self._clock.now()
        looked = await self._book.fan_out(now=now)
        parcels = await self._book.claim(now=now, until=now + CLAIMED_FOR, most=AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for parcel in parcels:
                group.create_task(self._deliver(http, parcel))
        return bool(looked or parcels)

    async def _deliver(self, http: ClientSession, parcel: Parcel) -> None:
        tried = await self._try(http, parcel)
        status = verdict(tried, parcel.tries)
        now = self._clock.now()
        pause = backoff(parcel.tries, first=FIRST_PAUSE_S, cap=LONGEST_PAUSE_S, chance=self._clock.jitter())
        if status != "delivered":
            log.info("webhook_not_delivered", webhook=str(parcel.webhook_id), tries=parcel.tries, error=tried.error)
        await self._book.end(
            parcel.delivery_id,
            status,
            next_try_at=now + timedelta(seconds=pause) if status == "waiting" else None,
            answered=tried.answered,
            error=None if status == "delivered" else tried.error,
        )

    async def _try(self, http: ClientSession, parcel: Parcel) -> Tried:
        entry = parcel.entry
        body = json.dumps(
            {"type": entry.action, "timestamp": entry.at.isoformat(), "data": self._show(entry)}, separators=(",", ":")
        ).encode()
        headers = signed(
            parcel.secret, id=f"msg_{parcel.delivery_id.hex}", timestamp=int(self._clock.now().timestamp()), body=body
        )
        try:
            url = checked(parcel.url, private=self._private)  # again: the setting may have changed
            async with http.post(
                url, data=body, headers={**headers, "Content-Type": "application/json"}, allow_redirects=False
            ) as answer:
                good = 200 <= answer.status < 300
                return Tried(answered=answer.status, error=None if good else f"answered {answer.status}")
        except BadAim as refused:
            return Tried(error=f"the URL {refused}")
        except TimeoutError:
            return Tried(error="no answer in time")
        except (ClientError, OSError) as fault:
            # Its class, and no more: the text may carry what a private network answers.
            return Tried(error=f"not reached: {type(fault).__name__}")

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[ClientSession]:
        connector = TCPConnector(use_dns_cache=False, limit=AT_ONCE) if self._private else _public_only()
        headers = {"User-Agent": "my-jarvis-webhooks/1"}
        async with ClientSession(
            connector=connector, timeout=PATIENCE, cookie_jar=DummyCookieJar(), headers=headers
        ) as http:
            yield http


def _public_only() -> TCPConnector:
    return TCPConnector(resolver=PublicResolver(), use_dns_cache=False, limit=AT_ONCE)
