"""A real server that plays the gateway to the pages: what it tells them is set by the test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.pages.plans import PLANS
from gateway.pages.render import Page, Pages
from gateway.pages.view import InstanceView, StepState, StepView
from provisioner.instance import State

USUAL = {"reserve": 0.2, "resume": 0.6, "boot": 1.4, "network": 0.3, "app": 0.9, "open": 0.1}
SINCE = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAGES = Pages(plans=PLANS)
"""For every Stage: to compile the templates takes longer than to show most pages."""


def view(
    at: str | None,
    *,
    took: float = 0.0,
    start: str = "resume",
    failed: bool = False,
    slow: float = 60.0,
    **given: Any,
) -> InstanceView:
    """A wake in which `at` is running for `took` seconds and what comes before it is done; None: nothing has begun.

    Past `slow` seconds a step is called slow: far away, so that no page gets there while a loaded machine tests it.
    """
    names = ("reserve", start, "network", "app", "open")
    here = names.index(at) if at else -1
    steps = tuple(
        StepView(
            name=name,
            usual_s=USUAL[name],
            slow_s=slow,
            state=StepState.DONE
            if i < here
            else StepState.WAITING
            if i > here
            else StepState.FAILED
            if failed
            else StepState.RUNNING,
            took_s=USUAL[name] if i < here else took if i == here else None,
        )
        for i, name in enumerate(names)
    )
    shape: dict[str, Any] = {"state": State.WAKING, "since": SINCE, "steps": steps}
    return InstanceView(**shape | given)


def ready() -> InstanceView:
    steps = tuple(
        StepView(name=s.name, state=StepState.DONE, took_s=s.usual_s, usual_s=s.usual_s) for s in view(None).steps
    )
    return InstanceView(state=State.ACTIVE, since=SINCE, steps=steps, eta_s=0.0)


class Stage:
    """The gateway as the pages see it. `show` tells every open page at once, as long as streams are not cut."""

    def __init__(self) -> None:
        self.pages = PAGES
        self.view = view("reserve")
        self.url = ""
        self.served: list[str] = []
        """Paths of navigations, in order."""
        self.polls = 0
        self.retried: list[str | None] = []
        """Origins of who asked for another attempt."""
        self.never_opens = False
        """Says ready and yet shows the loading page: the loop that a page must notice."""
        self.signed_out = False
        self.page: Page | None = None
        """Answer to everything, if set."""
        self._cut = False
        self._streams: set[asyncio.Queue[InstanceView | None]] = set()

    @property
    def listeners(self) -> int:
        return len(self._streams)

    def show(self, shown: InstanceView) -> None:
        self.view = shown
        for stream in self._streams:
            stream.put_nowait(shown)

    def cut(self) -> None:
        """Break every stream and let no new one live."""
        self._cut = True
        for stream in self._streams:
            stream.put_nowait(None)

    async def events(self, request: web.Request) -> web.StreamResponse:
        if self._cut:
            return web.Response(status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        queue: asyncio.Queue[InstanceView | None] = asyncio.Queue()
        queue.put_nowait(self.view)
        self._streams.add(queue)
        try:
            while (told := await queue.get()) is not None:
                await response.write(b"event: instance\ndata: " + json.dumps(told.as_json()).encode() + b"\n\n")
        except ConnectionResetError:
            pass
        finally:
            self._streams.discard(queue)
        return response

    async def instance(self, request: web.Request) -> web.Response:
        self.polls += 1
        if self.signed_out:
            return web.json_response({"title": "Sign in first"}, status=401)
        return web.json_response(self.view.as_json(), headers={"Cache-Control": "no-store"})

    async def logout(self, request: web.Request) -> web.Response:
        self.signed_out = request.headers.get("Origin") == self.url
        raise web.HTTPSeeOther("/")

    async def retry(self, request: web.Request) -> web.Response:
        self.retried.append(request.headers.get("Origin"))
        self.show(view("network", attempt=2, state=State.PROVISIONING))
        raise web.HTTPSeeOther(request.query["next"])

    async def navigation(self, request: web.Request) -> web.Response:
        self.served.append(request.path_qs)
        if self.page is not None:
            page = self.page
        elif self.signed_out:
            page = self.pages.landing(error="You left Google before choosing an account.")
        elif request.path == "/welcome/waiting":
            page = self.pages.waiting(view=self.view, diagnostic_id="7f3a-91c2-0b6e")
        elif self.view.ready and not self.never_opens:
            return web.Response(
                text=f"<link rel=icon href=data:,><h1>Jarvis at {request.path_qs}</h1>", content_type="text/html"
            )
        else:
            page = self.pages.loading(next=request.path_qs, view=self.view, diagnostic_id="7f3a-91c2-0b6e")
        return web.Response(body=page.body, status=page.status, headers=page.headers)


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """A Stage listening on a free port at `stage.url`, with nothing after the port."""
    stage = Stage()
    app = web.Application()
    app.router.add_get("/_gateway/events", stage.events)
    app.router.add_get("/_gateway/instance", stage.instance)
    app.router.add_post("/auth/logout", stage.logout)
    app.router.add_post("/_gateway/retry", stage.retry)
    app.router.add_get("/{path:.*}", stage.navigation)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stage.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stage
    finally:
        stage.cut()
        await runner.cleanup()
