"""Who pays for what, as of lately: so that a limit by plan costs a request no query."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from provisioner.clock import Clock
from provisioner.instance import UserId

log = structlog.get_logger(__name__)

EVERY_S: Final = 60.0


async def keep_plans(
    ask: Callable[[], Awaitable[Mapping[UserId, str]]], tell: Callable[[Mapping[UserId, str]], None], clock: Clock
) -> None:
    """Ask now and every EVERY_S seconds until cancelled. While nobody answers, the last answer holds."""
    while True:
        try:
            tell(await ask())
        except Exception as fault:
            log.warning("plans_not_read", error=repr(fault))
        await clock.sleep(EVERY_S)
