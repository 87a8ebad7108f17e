"""An App that tells what reached it. `python -m tests.parts.echo_app`, or by its path; needs PORT.

/headers        received header fields as JSON pairs      /echo           the request's body, as it comes
/sse?n=&interval_ms=  n events                             /ws             echoes messages
/sleep?ms=      answers late                               /size?bytes=    so many bytes
/env            names of the environment, and some values  /write?name=&text=, /read?name=  files in DATA_DIR
/status?code=   any status                                 /die            exits with 3, in mid-air
"""

import asyncio
import os
from pathlib import Path

from tests.parts.stdlib_web import Exchange, Routes, serve

ENV = ("PORT", "DATA_DIR", "USER_ID", "USER_EMAIL", "INSTANCE_TYPE", "GUARD_URL")
routes = Routes()


@routes.add("/headers")
async def headers(exchange: Exchange) -> None:
    await exchange.tell({"method": exchange.method, "target": exchange.target, "headers": exchange.fields})


@routes.add("/echo")
async def echo(exchange: Exchange) -> None:
    kind, length = exchange.field("content-type") or "application/octet-stream", exchange.field("content-length")
    await exchange.begin(200, ("Content-Type", kind), length=int(length) if length else None)
    async for piece in exchange.body:
        await exchange.send(piece)
    await exchange.end()


@routes.get("/sse")
async def sse(exchange: Exchange) -> None:
    await exchange.begin(200, ("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"))
    for number in range(int(exchange.asked("n", "3"))):
        if number:
            await asyncio.sleep(int(exchange.asked("interval_ms", "0")) / 1000)
        await exchange.send(b"id: %d\ndata: event %d\n\n" % (number, number))
    await exchange.end()


@routes.get("/ws")
async def websocket(exchange: Exchange) -> None:
    # Here, because what it imports takes longer than all the rest of the App's start.
    from tests.parts import echo_socket

    await echo_socket.echo(exchange)


@routes.add("/sleep")
async def sleep(exchange: Exchange) -> None:
    try:
        await asyncio.sleep(int(exchange.asked("ms", "0")) / 1000)
    except asyncio.CancelledError:
        print("sleep cancelled", flush=True)
        raise
    await exchange.say("slept")


@routes.get("/size")
async def size(exchange: Exchange) -> None:
    left = int(exchange.asked("bytes"))
    chunked = bool(exchange.asked("chunked", ""))
    await exchange.begin(200, ("Content-Type", "application/octet-stream"), length=None if chunked else left)
    block = bytes(range(256)) * 256
    while left:
        piece = block[:left]
        await exchange.send(piece)
        left -= len(piece)
    await exchange.end()


@routes.get("/status")
async def status(exchange: Exchange) -> None:
    await exchange.begin(int(exchange.asked("code")), ("X-Status", "told"), length=0)


@routes.get("/env")
async def env(exchange: Exchange) -> None:
    values = {name: os.environ.get(name) for name in ENV}
    await exchange.tell({"names": sorted(os.environ), "pid": os.getpid(), **values})


@routes.add("/write")
async def write(exchange: Exchange) -> None:
    _file(exchange).write_text(exchange.asked("text"), encoding="utf-8")
    await exchange.say("written")


@routes.get("/read")
async def read(exchange: Exchange) -> None:
    file = _file(exchange)
    if file.exists():
        await exchange.say(file.read_text(encoding="utf-8"))
    else:
        await exchange.say("404: Not Found", status=404)


@routes.add("/die")
async def die(_: Exchange) -> None:
    os._exit(3)


def _file(exchange: Exchange) -> Path:
    return Path(os.environ["DATA_DIR"]) / Path(exchange.asked("name")).name


def main() -> None:
    asyncio.run(serve(routes, "127.0.0.1", int(os.environ["PORT"])))


if __name__ == "__main__":
    main()
