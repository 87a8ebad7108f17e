"""The echo App, and a hostile corner. Needs PORT.

/plant?cookie=…   sets whatever cookie it is told       /hostile          an empty page of the Machine's own
/sw.js, /deep/sw.js   a service worker that answers every request it gets to see, asking for the whole origin
"""

from tests.parts import echo_app
from tests.parts.stdlib_web import Exchange


async def plant(exchange: Exchange) -> None:
    await exchange.say("planted", *(("Set-Cookie", cookie) for cookie in exchange.all_asked("cookie")))


async def hostile(exchange: Exchange) -> None:
    await exchange.say("<!doctype html><link rel=icon href=data:,><title>hostile</title>", kind="text/html")


async def worker(exchange: Exchange) -> None:
    script = """
      self.addEventListener("install", () => self.skipWaiting());
      self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
      self.addEventListener("fetch", (event) => {
        if (event.request.url.includes("/env") || event.request.url.includes("/auth/"))
          event.respondWith(new Response("<title>owned</title>owned", {headers: {"Content-Type": "text/html"}}));
      });"""
    await exchange.say(script, ("Service-Worker-Allowed", "/"), kind="text/javascript")


echo_app.routes.get("/plant")(plant)
echo_app.routes.get("/hostile")(hostile)
echo_app.routes.get("/sw.js")(worker)
echo_app.routes.get("/deep/sw.js")(worker)

if __name__ == "__main__":
    echo_app.main()
