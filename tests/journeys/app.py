"""The echo App, and a hostile corner: `/plant?cookie=…` sets whatever cookie it is told. Needs PORT."""

import asyncio
import os

from aiohttp import web

from tests.parts import echo_app


async def plant(request: web.Request) -> web.Response:
    response = web.Response(text="planted")
    for cookie in request.query.getall("cookie"):
        response.headers.add("Set-Cookie", cookie)
    return response


echo_app.routes.get("/plant")(plant)

if __name__ == "__main__":
    asyncio.run(echo_app.serve("127.0.0.1", int(os.environ["PORT"])))
