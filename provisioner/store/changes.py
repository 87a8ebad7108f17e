"""What Postgres calls out to every replica (LISTEN/NOTIFY), over one connection that mends itself."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import asyncpg
import structlog

from provisioner.clock import Clock

log = structlog.get_logger(__name__)

_RETRY_S: Final = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
_SILENCE_S: Final = 30.0
"""After so long without a word the connection is asked if it still lives: a cut cable makes no noise."""


async def listen(dsn: str, channel: str, clock: Clock) -> AsyncGenerator[str | None, None]:
    """Each payload sent to `channel` from now on, and None whenever some may have been missed.

    So the first item is None, as soon as we listen, and so is the first after every reconnection. Ends only by being
    closed (`contextlib.aclosing`) or cancelled. `dsn` must lead to Postgres itself or to a session pooler: behind a
    transaction pooler nothing would ever be heard.
    """
    failures = 0
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=10, command_timeout=10)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as lost:
            log.warning("listen_failed", channel=channel, error=type(lost).__name__)
        else:
            try:
                words: asyncio.Queue[str | None] = asyncio.Queue()
                connection.add_termination_listener(lambda _, words=words: words.put_nowait(None))
                await connection.add_listener(channel, lambda *call, words=words: words.put_nowait(call[-1]))
                failures = 0
                yield None
                while (word := await _next_word(connection, words)) is not None:
                    yield word
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as lost:
                log.warning("listen_lost", channel=channel, error=type(lost).__name__)
            finally:
                # Not close(): that would talk once more over a connection that may be dead, and could be cancelled.
                connection.terminate()
        pause = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
        failures += 1
        if pause:
            await clock.sleep(pause * (0.5 + clock.jitter()))


async def _next_word(connection: Any, words: "asyncio.Queue[str | None]") -> str | None:
    """The next payload; None when the connection has ended."""
    while True:
        try:
            # A socket's patience, not the domain's: real time, whatever the Clock says.
            async with asyncio.timeout(_SILENCE_S):
                return await words.get()
        except TimeoutError:
            await connection.execute("select 1")
