"""How long what we wrote down about people is kept; what is older goes."""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from provisioner.clock import Clock

log = structlog.get_logger(__name__)

EVERY_S: Final = 6 * 3600.0


class Prune(Protocol):
    """Drops what is older; how many rows of the audit log went."""

    def __call__(self, *, audit_before: datetime, step_times_before: datetime) -> Awaitable[int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """For how long."""

    audit: timedelta
    step_times: timedelta


async def keep_short(prune: Prune, clock: Clock, kept: Kept) -> None:
    """Prune now and every EVERY_S seconds until cancelled. Any number of replicas may: what is gone is gone.

    A round that fails is logged and made up for by the next.
    """
    while True:
        now = clock.now()
        try:
            gone = await prune(audit_before=now - kept.audit, step_times_before=now - kept.step_times)
            if gone:
                log.info("retention_pruned", audit_rows=gone)
        except Exception as fault:
            log.warning("retention_failed", error=repr(fault))
        await clock.sleep(EVERY_S)
