"""An App that tells what reached it. `python -m tests.parts.echo_app`, or by its path; needs PORT.

/headers        received header fields as JSON pairs      /echo           the request's body, as it comes
/sse?n=&interval_ms=  n events                             /ws             echoes messages
/sleep?ms=      answers late                               /size?bytes=    so many bytes
/env            names of the environment, and some values  /write?name=&text=, /read?name=  files in DATA_DIR
/status?code=   any status                                 /die            exits with 3, in mid-air
"""

import asyncio
import os
import signal
from pathlib import Path

from aiohttp import WSMsgType, web

ENV = ("PORT", "DATA_DIR", "USER_ID", "USER_EMAIL", "INSTANCE_TYPE", "GUARD_URL")
routes = web.RouteTableDef()
SOCKETS: web.AppKey[set[web.WebSocketResponse]] = web.AppKey("sockets", set)


@routes.route("*", "/headers")
async def headers(request: web.Request) -> web.Response:
    pairs = [[name.decode("latin-1"), value.decode("utf-8", "replace")] for name, value in request.raw_headers]
    return web.json_response({"method": request.method, "target": request.raw_path, "headers": pairs})


@routes.route("*", "/echo")
async def echo(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": request.content_type})
    if request.content_length is not None:
        response.content_length = request.content_length
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(piece)
    return response


@routes.get("/sse")
async def sse(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    for number in range(int(request.query.get("n", "3"))):
        if number:
            await asyncio.sleep(int(request.query.get("interval_ms", "0")) / 1000)
        await response.write(b"id: %d\ndata: event %d\n\n" % (number, number))
    return response


@routes.get("/ws")
async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Echoes. The text `close <code> <reason>` closes, `burst <n>` sends n messages, `headers` tells them."""
    socket = web.WebSocketResponse(protocols=("echo", "chat"), max_msg_size=64 << 20)
    await socket.prepare(request)
    request.app[SOCKETS].add(socket)
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT and message.data.startswith("close "):
                _, code, reason = message.data.split(" ", 2)
                await socket.close(code=int(code), message=reason.encode())
            elif message.type is WSMsgType.TEXT and message.data.startswith("burst "):
                for number in range(int(message.data.split()[1])):
                    await socket.send_str(str(number))
            elif message.type is WSMsgType.TEXT and message.data == "headers":
                await socket.send_json([[k.decode("latin-1"), v.decode("utf-8")] for k, v in request.raw_headers])
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        print(f"websocket closed {socket.close_code}", flush=True)
    finally:
        request.app[SOCKETS].discard(socket)
    return socket


@routes.route("*", "/sleep")
async def sleep(request: web.Request) -> web.Response:
    try:
        await asyncio.sleep(int(request.query.get("ms", "0")) / 1000)
    except asyncio.CancelledError:
        print("sleep cancelled", flush=True)
        raise
    return web.Response(text="slept")


@routes.get("/size")
async def size(request: web.Request) -> web.StreamResponse:
    left = int(request.query["bytes"])
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    if "chunked" not in request.query:
        response.content_length = left
    await response.prepare(request)
    block = bytes(range(256)) * 256
    while left:
        piece = block[:left]
        await response.write(piece)
        left -= len(piece)
    return response


@routes.get("/status")
async def status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.query["code"]), headers={"X-Status": "told"})


@routes.get("/env")
async def env(_: web.Request) -> web.Response:
    values = {name: os.environ.get(name) for name in ENV}
    return web.json_response({"names": sorted(os.environ), "pid": os.getpid(), **values})


@routes.route("*", "/write")
async def write(request: web.Request) -> web.Response:
    _file(request).write_text(request.query["text"], encoding="utf-8")
    return web.Response(text="written")


@routes.get("/read")
async def read(request: web.Request) -> web.Response:
    file = _file(request)
    if not file.exists():
        raise web.HTTPNotFound
    return web.Response(text=file.read_text(encoding="utf-8"))


@routes.route("*", "/die")
async def die(_: web.Request) -> web.Response:
    os._exit(3)


def _file(request: web.Request) -> Path:
    return Path(os.environ["DATA_DIR"]) / Path(request.query["name"]).name


async def _close_sockets(app: web.Application) -> None:
    for socket in tuple(app[SOCKETS]):
        await socket.close(code=1001)


def make_app() -> web.Application:
    """The App without a server around it."""
    app = web.Application(client_max_size=1 << 40)
    app.add_routes(routes)
    app[SOCKETS] = set()
    app.on_shutdown.append(_close_sockets)
    return app


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    runner = web.AppRunner(make_app(), handler_cancellation=True, shutdown_timeout=1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve("127.0.0.1", int(os.environ["PORT"])))
