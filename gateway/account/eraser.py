"""Deleting accounts: asked for once, done in steps that may each be done again, until everything is gone."""

import asyncio
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from gateway.account.book import Book, Deletion
from gateway.session.identity import SessionError, SignInUnavailable
from provisioner.clock import Clock, before
from provisioner.errors import ProvisionerError
from provisioner.instance import UserId
from provisioner.lifecycle import Lifecycle

LOOK_EVERY_S: Final = 15.0
HELD_FOR: Final = timedelta(minutes=5)
"""Longer than one try takes. When a replica dies in the middle, another goes on after this."""
FIRST_PAUSE: Final = timedelta(seconds=5)
LONGEST_PAUSE: Final = timedelta(minutes=10)
log = structlog.get_logger(__name__)


class Accounts(Protocol):
    """The sign-in service, as far as it is needed here."""

    @property
    def may_delete(self) -> bool: ...

    async def delete_user(self, user_id: UUID) -> None:
        """Idempotent. Raises SessionError."""


def pause(tries: int) -> timedelta:
    """How long to wait after so many tries: doubling, bounded."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(tries - 1, 10)))


class Eraser:
    """Machine, disk and row first, then the sign-in, then what is left; the receipt last. Several replicas may."""

    def __init__(self, book: Book, lifecycle: Lifecycle, accounts: Accounts, clock: Clock) -> None:
        self._book, self._lifecycle, self._accounts, self._clock = book, lifecycle, accounts, clock
        self._asked = asyncio.Event()

    async def ask(self, user_id: UserId, email: str) -> None:
        """Have this account deleted. When this returns the user is signed out everywhere and it is written down:
        it will be done, whoever of us dies. Raises SignInUnavailable: nothing was begun.
        """
        await self._book.ask_deletion(user_id, email, now=self._clock.now())
        self._asked.set()

    async def run(self) -> None:
        """Do what is due, for ever."""
        while True:
            self._asked.clear()
            try:
                while await self.one():
                    pass
            except SignInUnavailable as away:
                log.warning("deletions_not_read", error=away.cause)
            asked: asyncio.Future[Any] = asyncio.ensure_future(self._asked.wait())
            try:
                await before(self._clock, self._clock.monotonic() + LOOK_EVERY_S, asked)
            finally:
                asked.cancel()

    async def one(self) -> bool:
        """Try one deletion that is due. Whether there was one."""
        now = self._clock.now()
        due = await self._book.take_deletion(now=now, until=now + HELD_FOR)
        if due is None:
            return False
        try:
            await self._erase(due)
        except (ProvisionerError, SessionError) as fault:
            error = f"{type(fault).__name__}: {fault}"[:500]
            log.warning("deletion_put_off", user_id=str(due.user_id), tries=due.tries, error=error)
            at = self._clock.now() + pause(due.tries)
            await self._book.put_off_deletion(due.user_id, error=error, at=at)
        return True

    async def _erase(self, due: Deletion) -> None:
        await self._lifecycle.destroy(due.user_id, actor="eraser")
        if self._accounts.may_delete:
            await self._accounts.delete_user(due.user_id)
        # A request that came in before may have begun a new one. From here on nobody is let in as this user.
        await self._lifecycle.destroy(due.user_id, actor="eraser")
        detail = {"machine": "destroyed", "sign_in": "deleted" if self._accounts.may_delete else "kept: no secret key"}
        await self._book.finish_deletion(due.user_id, detail=detail, now=self._clock.now())
        log.info("account_deleted", user_id=str(due.user_id), tries=due.tries)
