"""Holding a lease while working, and giving it back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from provisioner.clock import Clock
from provisioner.errors import Moved
from provisioner.ports import Lease, Store

log = structlog.get_logger(__name__)


@asynccontextmanager
async def keep(store: Store, clock: Clock, lease: Lease, ttl: timedelta) -> AsyncIterator[None]:
    """Renew `lease` every third of `ttl` while the block runs, release it afterwards.

    When the lease is lost the block is cancelled and Moved comes out of it: somebody else goes on from the record.
    """
    body: asyncio.Task[object] | None = asyncio.current_task()
    assert body is not None  # noqa: S101  contexts of coroutines always run in a task
    lost = False

    async def renew() -> None:
        nonlocal lost
        good_until = clock.monotonic() + ttl.total_seconds()
        while not lost:
            await clock.sleep(ttl.total_seconds() / 3)
            try:
                await store.renew(lease, ttl=ttl)
                good_until = clock.monotonic() + ttl.total_seconds()
            except Moved:
                lost = True
            except Exception as fault:  # a database that is away for a moment takes no lease from anybody
                log.warning("lease_not_renewed", user_id=str(lease.user_id), error=repr(fault))
                lost = clock.monotonic() >= good_until
        body.cancel()

    keeper = asyncio.create_task(renew(), name=f"lease:{lease.user_id}")  # owned: ended below, whatever happens
    try:
        yield
    except asyncio.CancelledError:
        if lost and body.uncancel() == 0:
            raise Moved(f"lease on {lease.user_id} was lost") from None
        raise
    finally:
        keeper.cancel()
        await asyncio.wait({keeper})
        if not lost:
            await store.release(lease)
