"""One bring-up as those who wait for it see it."""

import asyncio
from dataclasses import dataclass

from provisioner.instance import Instance
from provisioner.progress import Progress


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a bring-up ended. `path` as in Progress; `error` is the name of its class, None for success."""

    path: str
    took_s: float
    error: str | None


class Job:
    """One bring-up under way on this replica, and what may be watched of it.

    A wake has its `answers` as soon as the App answers: whoever only wants that need not wait for the row to say so.
    One that succeeds has its outcome, ACTIVE, a moment before it is `over`: nobody waits while it is written down and
    its lease is given back.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.over = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.answers: asyncio.Future[Instance] = loop.create_future()
        self.outcome: asyncio.Future[Instance] = loop.create_future()
        # Nobody may be left waiting when it fails; that alone is no reason for a warning of the event loop.
        for future in (self.answers, self.outcome):
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def answer(self, instance: Instance) -> None:
        """Whoever wants to go in goes on with `instance`."""
        if not self.answers.done():
            self.answers.set_result(instance)

    def succeed(self, instance: Instance) -> None:
        """Whoever waits goes on with `instance`. Only the first outcome counts."""
        self.answer(instance)
        if not self.outcome.done():
            self.progress.finish()
            self.outcome.set_result(instance)

    def fail(self, fault: Exception, words: str) -> None:
        """Whoever waits gets `fault`, and a watching user reads `words`."""
        self.progress.fail(words)
        self.outcome.set_exception(fault)
        if not self.answers.done():
            self.answers.set_exception(fault)

    def cancel(self) -> None:
        """This replica stops; another goes on from the record."""
        self.answers.cancel()
        self.outcome.cancel()
