"""The App's HTTP side: the page, its WebSocket, and the same as plain requests."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, Final

from aiohttp import WSMsgType, web

from golden.app.conversation import SHOWN, Busy, Conversation

PING_S: Final = 20.0
TEXT_LIMIT: Final = 100_000
"""Characters of a message."""

_TYPES: Final = {
    "": "text/html",
    "app.js": "text/javascript",
    "render.js": "text/javascript",
    "app.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:;"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Chat:
    """Handlers around one conversation. Who asks is in the headers that the Guard has set."""

    def __init__(self, conversation: Conversation, environment: Mapping[str, str]) -> None:
        self._conversation = conversation
        self._machine_id = environment.get("FLY_MACHINE_ID", "")
        self._boot_id = secrets.token_hex(8)
        self._sockets: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """The application, all routes in place."""
        application = web.Application(client_max_size=1 << 20)
        for name, kind in _TYPES.items():
            application.router.add_get(f"/{name}", _file(name or "index.html", kind))
        application.router.add_get("/ws", self.websocket)
        application.router.add_post("/api/chat", self.chat)
        application.router.add_get("/api/history", self.history)
        application.router.add_get("/api/whoami", self.whoami)
        application.on_shutdown.append(self._say_goodbye)
        return application

    async def whoami(self, request: web.Request) -> web.Response:
        """Who asks, and which Machine answers."""
        return web.json_response(self._who(request), headers={"Cache-Control": "no-store"})

    async def history(self, request: web.Request) -> web.Response:
        """`{messages: […]}`, oldest first; `?after=<id>` for what came later."""
        messages = await self._conversation.history.last(SHOWN, after=_number(request.query.get("after")))
        return web.json_response({"messages": [m.as_json() for m in messages]}, headers={"Cache-Control": "no-store"})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Say `{text, client_id?}` and get the answer as an event stream, `idle` being the last event."""
        try:
            text, client_id = _said(await request.json())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        with self._conversation.listen() as events:
            try:
                await self._conversation.say(text, client_id)
            except Busy:
                return web.json_response({"error": "An answer is still under way."}, status=409)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await response.prepare(request)
            kind = ""
            while kind not in ("idle", "lost"):
                event = await events.get()
                kind = event["type"]
                await response.write(f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode())
        return response

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        """The page's line: first `hello` with what it has missed, then events; it says `{type: "say", …}`."""
        socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=1 << 20)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            with self._conversation.listen() as events:
                missed = await self._conversation.catch_up(events, after=_number(request.query.get("after")))
                await socket.send_json({"type": "hello", **self._who(request), **missed})
                async with asyncio.TaskGroup() as tasks:
                    telling = tasks.create_task(_tell(socket, events))
                    await self._hear(socket)
                    telling.cancel()
        finally:
            self._sockets.discard(socket)
        return socket

    async def _hear(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                await self._conversation.say(*_said(json.loads(message.data)))
            except ValueError as error:
                await socket.send_json({"type": "error", "text": str(error)})
            except Busy:
                await socket.send_json({"type": "busy"})

    def _who(self, request: web.Request) -> dict[str, str]:
        return {
            "user_id": request.headers.get("X-Jarvis-User", ""),
            "email": request.headers.get("X-Jarvis-Email", ""),
            "machine_id": self._machine_id,
            "boot_id": self._boot_id,
        }

    async def _say_goodbye(self, _: web.Application) -> None:
        await self._conversation.close()
        for socket in tuple(self._sockets):
            await socket.close(code=1001)


async def _tell(socket: web.WebSocketResponse, events: asyncio.Queue[dict[str, Any]]) -> None:
    with contextlib.suppress(ConnectionError):  # it left; the reading side notices too
        while not socket.closed:
            event = await events.get()
            if event["type"] == "lost":
                await socket.close(code=1013)
            else:
                await socket.send_json(event)


def _said(said: Any) -> tuple[str, str | None]:
    text = said.get("text") if isinstance(said, dict) else None
    client_id = said.get("client_id") if isinstance(said, dict) else None
    if not isinstance(text, str) or not text.strip() or len(text) > TEXT_LIMIT:
        raise ValueError(f"A message is text of 1 to {TEXT_LIMIT} characters.")
    return text.strip(), client_id[:64] if isinstance(client_id, str) else None


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else 0


def _file(name: str, kind: str) -> Handler:
    body = (files("golden.app") / "page" / name).read_bytes()
    headers = {
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }

    async def send(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    return send
