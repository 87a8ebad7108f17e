"""The echo App, and a hostile corner. Needs PORT.

/plant?cookie=…   sets whatever cookie it is told       /hostile          an empty page of the Machine's own
/sw.js, /deep/sw.js   a service worker that answers every request it gets to see, asking for the whole origin
"""

import asyncio
import os

from aiohttp import web

from tests.parts import echo_app


async def plant(request: web.Request) -> web.Response:
    response = web.Response(text="planted")
    for cookie in request.query.getall("cookie"):
        response.headers.add("Set-Cookie", cookie)
    return response


async def hostile(_: web.Request) -> web.Response:
    return web.Response(
        text="<!doctype html><link rel=icon href=data:,><title>hostile</title>", content_type="text/html"
    )


async def worker(_: web.Request) -> web.Response:
    script = """
      self.addEventListener("install", () => self.skipWaiting());
      self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
      self.addEventListener("fetch", (event) => {
        if (event.request.url.includes("/env") || event.request.url.includes("/auth/"))
          event.respondWith(new Response("<title>owned</title>owned", {headers: {"Content-Type": "text/html"}}));
      });"""
    headers = {"Service-Worker-Allowed": "/"}
    return web.Response(text=script, content_type="text/javascript", headers=headers)


echo_app.routes.get("/plant")(plant)
echo_app.routes.get("/hostile")(hostile)
echo_app.routes.get("/sw.js")(worker)
echo_app.routes.get("/deep/sw.js")(worker)

if __name__ == "__main__":
    asyncio.run(echo_app.serve("127.0.0.1", int(os.environ["PORT"])))
