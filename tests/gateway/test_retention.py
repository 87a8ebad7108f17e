"""What is old goes, again and again, whatever goes wrong once."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from structlog.testing import capture_logs

from gateway.retention import EVERY_S, Kept, keep_short
from tests.parts.clock import ManualClock

KEPT = Kept(audit=timedelta(days=400), step_times=timedelta(days=90))


async def test_rounds_go_on_after_one_that_failed() -> None:
    clock = ManualClock()
    asked: list[tuple[datetime, datetime]] = []

    async def prune(*, audit_before: datetime, step_times_before: datetime) -> int:
        asked.append((audit_before, step_times_before))
        if len(asked) == 1:
            raise OSError("the database is away")
        return 7

    began = clock.now()
    with capture_logs() as lines:
        rounds = asyncio.create_task(keep_short(prune, clock, KEPT))
        await asyncio.sleep(0)  # it begins, fails, and lies down
        await clock.advance(seconds=EVERY_S)
        rounds.cancel()
        with suppress(asyncio.CancelledError):
            await rounds
    later = began + timedelta(seconds=EVERY_S)
    assert asked == [(at - KEPT.audit, at - KEPT.step_times) for at in (began, later)]
    assert [line["event"] for line in lines] == ["retention_failed", "retention_pruned"]
