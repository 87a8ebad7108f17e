"""The session room's background work, run by the gateway's root for as long as it lives."""

import asyncio
import binascii
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import structlog

from gateway.session.identity import SignInUnavailable
from gateway.session.sessions import Sessions
from provisioner.clock import Clock

CHANNEL: Final = "session_ended"
TOKENS: Final = "token_ended"
STANDINGS: Final = "standing_changed"
LOGINS: Final = "login_ended"
ALIVE_EVERY: Final = 20.0  # seconds: a dead connection that nobody closed would keep quiet for ever
RECONNECT: Final = 0.5
RECONNECT_MAX: Final = 10.0
SWEEP_EVERY: Final = timedelta(minutes=10)

Hear = Callable[[str | None], None]
log = structlog.get_logger(__name__)


async def watch(
    sessions: Sessions,
    dsn: str,
    *,
    clock: Clock,
    seen_every: timedelta,
    more: Mapping[str, Hear],
    ends: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    books: Sequence[Callable[[], Awaitable[None]]],
    sweeps: Sequence[Callable[[], Awaitable[None]]],
) -> None:
    """Hear of what ends elsewhere, do what follows from it (`ends`), write what is noted down in `books`, and do the
    `sweeps` now and then. Runs until cancelled.
    """
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen(sessions, dsn, clock=clock, more=more))
        for follow in ends:
            tasks.create_task(follow())
        tasks.create_task(_keep_books(books, sweeps, clock=clock, seen_every=seen_every))


async def listen(
    sessions: Sessions,
    dsn: str,
    *,
    clock: Clock,
    heard: asyncio.Event | None = None,
    more: Mapping[str, Hear] = MappingProxyType({}),
) -> None:
    """Keep one connection on which Postgres tells of ended sessions; `heard` is set whenever it listens.

    `more` are further channels, and who hears their news: the payload, or None when news may have been missed.

    While there is none, known sessions go on being served. Once there is one again, everything is dropped: what
    ended in between was not heard.
    """
    wait = RECONNECT
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=10)
            try:
                lost = asyncio.Event()
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, lambda *told: _hear(sessions, told[3]))
                for channel, hear in more.items():  # on the same connection: missed together or not at all
                    await connection.add_listener(channel, lambda *told, hear=hear: _pass_on(hear, told[3]))
                sessions.heard_end(None)
                for hear in more.values():
                    hear(None)
                wait = RECONNECT
                if heard is not None:
                    heard.set()
                await _until_lost(connection, lost)
            finally:
                if heard is not None:
                    heard.clear()
                with suppress(Exception):
                    await connection.close(timeout=2)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as broken:
            log.warning("session_listener_lost", error=type(broken).__name__)
        await clock.sleep(wait * (1 + clock.jitter()))
        wait = min(wait * 2, RECONNECT_MAX)


async def _until_lost(connection: Any, lost: asyncio.Event) -> None:
    while not lost.is_set():
        try:
            async with asyncio.timeout(ALIVE_EVERY):
                await lost.wait()
        except TimeoutError:
            await connection.execute("select 1", timeout=5)


def _hear(sessions: Sessions, payload: str) -> None:
    try:
        sessions.heard_end(bytes.fromhex(payload))
    except (ValueError, binascii.Error):
        log.warning("session_end_unreadable")


def _pass_on(hear: Hear, payload: str) -> None:
    try:
        hear(payload)
    except ValueError:
        log.warning("session_news_unreadable")


async def _keep_books(
    books: Sequence[Callable[[], Awaitable[None]]],
    sweeps: Sequence[Callable[[], Awaitable[None]]],
    *,
    clock: Clock,
    seen_every: timedelta,
) -> None:
    swept = clock.monotonic()
    while True:
        await clock.sleep(seen_every.total_seconds())
        for write in books:
            await write()
        if clock.monotonic() - swept >= SWEEP_EVERY.total_seconds():
            swept = clock.monotonic()
            for sweep in sweeps:
                try:
                    await sweep()
                except SignInUnavailable as unswept:
                    log.warning("sessions_not_swept", error=unswept.cause)
