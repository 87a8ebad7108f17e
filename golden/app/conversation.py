"""One conversation, seen by every open tab at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from golden.app.brain import Brain, NoAnswer
from golden.app.history import History

Event = dict[str, Any]

CONTEXT: Final = 40
"""Messages that the LLM is shown."""
SHOWN: Final = 200
"""Messages that a page gets at once."""
_BACKLOG: Final = 10_000


class Busy(Exception):
    """An answer is still under way; one at a time."""


class Conversation:
    """Takes messages, has them answered, and tells every listener as it happens.

    An answer belongs to the conversation, not to the tab that asked: it goes on when the tab is
    closed, and is in the history when it comes back.
    """

    def __init__(self, history: History, brain: Brain) -> None:
        self.history = history
        self._brain = brain
        self._listeners: set[asyncio.Queue[Event]] = set()
        self._answering: asyncio.Task[None] | None = None
        self._so_far = ""

    @property
    def so_far(self) -> str | None:
        """The answer that is under way, as far as it has come; None if there is none."""
        return self._so_far if self._answering is not None else None

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Event]]:
        """A queue of everything that happens from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue(_BACKLOG)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    async def catch_up(self, events: asyncio.Queue[Event], *, after: int) -> Event:
        """What a listener with the queue `events` has missed since message `after`; the queue goes on from there."""
        messages = [message.as_json() for message in await self.history.last(SHOWN, after=after)]
        known = {message["id"] for message in messages}
        while not events.empty():  # came while the disk was read; tokens among it are in `so_far`
            event = events.get_nowait()
            if event["type"] == "message" and event["message"]["id"] not in known:
                messages.append(event["message"])
        return {"messages": messages, "so_far": self.so_far}

    async def say(self, text: str, client_id: str | None = None) -> None:
        """Take in what the user says and begin to answer.

        Saying the same `client_id` again does nothing.

        Raises:
            Busy: nothing was taken in.
        """
        if self._answering is not None:
            raise Busy
        self._so_far = ""
        self._answering = asyncio.create_task(self._answer(text, client_id))
        await asyncio.sleep(0)

    async def close(self) -> None:
        """End, keeping what has been answered so far."""
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.wait((self._answering,))

    async def _answer(self, text: str, client_id: str | None) -> None:
        try:
            message = await self.history.add("user", text, client_id)
            self._tell({"type": "message", "message": message.as_json()})
            shown = await self.history.last(CONTEXT)
            if shown[-1].id != message.id:
                return  # said again after a lost connection, and answered already
            problem = None
            try:
                async for piece in self._brain.answer(shown):
                    self._so_far += piece
                    self._tell({"type": "token", "text": piece})
            except NoAnswer as why:
                problem = str(why)
            finally:
                if self._so_far:
                    answer = await asyncio.shield(self.history.add("assistant", self._so_far))
            if self._so_far:
                self._tell({"type": "message", "message": answer.as_json()})
            if problem:
                self._tell({"type": "error", "text": problem})
        finally:
            self._answering = None
            self._tell({"type": "idle"})

    def _tell(self, event: Event) -> None:
        for queue in tuple(self._listeners):
            if queue.full():  # a tab that stopped reading: let it go, it will ask for what it missed
                self._listeners.discard(queue)
                queue.get_nowait()
                queue.put_nowait({"type": "lost"})
            else:
                queue.put_nowait(event)
