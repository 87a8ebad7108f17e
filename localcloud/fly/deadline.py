"""Waiting for something, but not for ever."""

import asyncio
from typing import Any

from localcloud.fly.clock import Clock


async def within(clock: Clock, seconds: float, happens: asyncio.Future[Any]) -> bool:
    """Whether `happens` was resolved within `seconds` of `clock`. It is left alone if not."""
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({happens, sleeping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeping.cancel()
    return happens.done()
