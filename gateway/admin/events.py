"""`/v1/events`: the audit log as it grows, as an event stream that goes on where it was cut."""

from contextlib import aclosing
from typing import Final

import asyncpg
import structlog
from aiohttp import web
from pydantic import Field

from gateway.admin.ask import Refused
from gateway.admin.contract import ROW_MOST, Ask, Call, Operation, Operations, Row, Text
from gateway.admin.feed import Feed
from gateway.admin.guard import STILL
from gateway.admin.shown import EntryShown
from gateway.errors import Answer
from provisioner.audit import Entry

log = structlog.get_logger(__name__)

LAST: Final = "Last-Event-ID"
BAD_LAST: Final = Answer(400, f"Bad {LAST}", f"`{LAST}` has to be the id of an event.")
AGAIN_AFTER_MS: Final = 2000


class AskEvents(Ask):
    after: Row | None = Field(
        None,
        description="Begin behind this row; by default with what happens from now on. `Last-Event-ID` goes before it.",
    )
    user: Text | None = Field(None, description="Only what is about this user.", max_length=36)
    action: Text | None = Field(None, description="Only such actions, several joined by commas.", max_length=1000)


class EventDesk:
    """The handler of `/v1/events`."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/events",
                name="followEvents",
                summary="What happens, as it happens: `event` is the action, `data` a row of the audit log.",
                run=self.follow,
                ask=AskEvents,
                media="text/event-stream",
                refuses=(BAD_LAST,),
            ),
        )

    async def follow(self, call: Call[AskEvents, None]) -> web.StreamResponse:
        request, ask = call.request, call.ask
        actions = None if ask.action is None else frozenset(ask.action.split(","))
        stream = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        stream.content_type = "text/event-stream"
        after = ask.after if LAST not in request.headers else _last(request.headers[LAST])
        await stream.prepare(request)
        await stream.write(f"retry: {AGAIN_AFTER_MS}\n\n".encode())
        try:
            async with aclosing(self._feed.follow(after)) as news:
                async for entries in news:
                    # A token that was taken back opens nothing, also no longer what it opened before.
                    if not await request[STILL]():
                        break
                    said = [_event(each) for each in entries if _wanted(each, actions, ask.user)]
                    await stream.write("".join(said).encode() or b": quiet\n\n")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as lost:
            # The answer has begun: all that is left is to end it. The client asks again, and misses nothing.
            log.info("event_stream_cut", error=type(lost).__name__)
        return stream


def _event(entry: Entry) -> str:
    return f"id: {entry.id}\nevent: {entry.action}\ndata: {EntryShown.of(entry).model_dump_json()}\n\n"


def _wanted(entry: Entry, actions: frozenset[str] | None, user: str | None) -> bool:
    return (actions is None or entry.action in actions) and (user is None or str(entry.user_id) == user.lower())


def _last(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= ROW_MOST):
        raise Refused(BAD_LAST)
    return int(text)
