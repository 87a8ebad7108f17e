"""The session room's background work, run by the gateway's root for as long as it lives."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final

import structlog

from gateway.session.identity import SignInUnavailable
from provisioner.clock import Clock

ENDS: Final = "session_ended"
TOKENS: Final = "token_ended"
STANDINGS: Final = "standing_changed"
LOGINS: Final = "login_ended"
SWEEP_EVERY: Final = timedelta(minutes=10)

Announced = Callable[[str], AsyncGenerator[str | None, None]]
"""Each payload sent to a channel, and None whenever some may have been missed; None comes first."""
Hear = Callable[[str | None], None]
"""Takes a payload, or None when some may have been missed. Raises ValueError for what is none."""
log = structlog.get_logger(__name__)


async def watch(
    announced: Announced,
    *,
    clock: Clock,
    seen_every: timedelta,
    hears: Mapping[str, Hear],
    ends: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    books: Sequence[Callable[[], Awaitable[None]]],
    sweeps: Sequence[Callable[[], Awaitable[None]]],
) -> None:
    """Tell each of `hears` the news of its channel, do what follows from them (`ends`), write what is noted down in
    `books`, and do the `sweeps` now and then. Runs until cancelled.
    """
    async with asyncio.TaskGroup() as tasks:
        for channel, hear in hears.items():
            tasks.create_task(listen(announced, channel, hear))
        for follow in ends:
            tasks.create_task(follow())
        tasks.create_task(_keep_books(books, sweeps, clock=clock, seen_every=seen_every))


async def listen(announced: Announced, channel: str, hear: Hear) -> None:
    """Pass on what is announced, until cancelled.

    While nothing can be heard, what is known goes on being served. None says that something may have been missed:
    whoever hears it forgets everything.
    """
    async with aclosing(announced(channel)) as words:
        async for word in words:
            try:
                hear(word)
            except ValueError:
                log.warning("session_news_unreadable", channel=channel)


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
