"""Where people wait and watch: the loading page's data, once and as a stream, and the waiting page."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web
from cachetools import TTLCache

from gateway.directory import Directory
from gateway.errors import of_page
from gateway.pages.render import Pages
from gateway.pages.view import InstanceView, StepState, StepView, remaining
from provisioner.clock import Clock, before
from provisioner.instance import Instance, State, UserId
from provisioner.job import Job
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.ports import Store, Usual, Waiting
from provisioner.progress import PROVISION, Progress

BEAT_S: Final = 15.0
"""A comment line this often keeps middleboxes from closing a quiet stream, and lets us notice who left."""
LOOK_S: Final = 0.5
"""How often a stream looks at the record while another replica does the work."""
USUAL_FOR_S: Final = 60.0
RETRY_EVERY_S: Final = 5.0
WAITS: Final = frozenset({State.PROVISIONING, State.FAILED, State.WAKING})
"""With these there is something to wait for."""


class Lobby:
    """Shows a user how far their Instance is. Watching never wakes anything."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        directory: Directory,
        store: Store,
        clock: Clock,
        pages: Pages,
        *,
        tries: int,
        leaving: Callable[[], bool],
    ) -> None:
        """`tries` is how often a provisioning is tried before it is given up. `leaving` says that this replica is about
        to stop: watchers are to ask another one."""
        self._lifecycle = lifecycle
        self._directory = directory
        self._store = store
        self._clock = clock
        self._pages = pages
        self._tries = tries
        self._leaving = leaving
        self._usual: Mapping[tuple[str, str], Usual] = {}
        self._usual_until = float("-inf")
        self._retried: TTLCache[UserId, bool] = TTLCache(10_000, RETRY_EVERY_S, timer=clock.monotonic)

    async def view(self, user_id: UserId) -> InstanceView:
        """How far this user's Instance is now."""
        return await self._view(user_id, self._lifecycle.job(user_id))

    async def _view(self, user_id: UserId, job: Job | None) -> InstanceView:
        usual = await self._usual_times()
        instance = await self._directory.find(user_id)
        waiting = await self._store.waiting(user_id) if instance and instance.state is State.FAILED else None
        return view_of(instance, job, waiting, usual, self._clock, tries=self._tries)

    async def machine(self, user_id: UserId) -> InstanceView | None:
        """The same, None for whoever has none."""
        return None if await self._directory.find(user_id) is None else await self.view(user_id)

    async def loading(self, visitor: Visitor, target: str, diagnostic_id: str) -> web.Response:
        """The loading page, for the URL `target` that a navigation asked for."""
        view = await self.view(visitor.user_id)
        return of_page(self._pages.loading(next=target, view=view, diagnostic_id=diagnostic_id))

    async def waiting(self, visitor: Visitor, diagnostic_id: str) -> web.Response:
        """`/welcome/waiting`: for whoever's provisioning failed and is tried again. Who need not wait is sent in."""
        view = await self.machine(visitor.user_id)
        if view is None or view.state not in WAITS:
            return to("/")
        return of_page(self._pages.waiting(view=view, diagnostic_id=diagnostic_id))

    def retry(self, visitor: Visitor, next_path: str) -> web.Response:
        """POST `/_gateway/retry`: another attempt at once, whenever the queue would make it, and on to `next_path`.

        Pressed again and again it begins one every RETRY_EVERY_S.
        """
        if visitor.user_id not in self._retried:
            self._retried[visitor.user_id] = True
            self._lifecycle.begin(visitor, force=True)
        return to(next_path)

    async def instance(self, visitor: Visitor) -> web.Response:
        """`/_gateway/instance`: the view as JSON."""
        view = await self.view(visitor.user_id)
        return web.json_response(view.as_json(), headers={"Cache-Control": "no-store"})

    async def events(self, request: web.BaseRequest, visitor: Visitor) -> web.StreamResponse:
        """`/_gateway/events`: the view whenever it changes, until it is ready, or the client or we leave."""
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        shown, beat = "", self._clock.monotonic() + BEAT_S
        job: Job | None = None
        try:
            while True:
                watched, job = job, self._lifecycle.job(visitor.user_id)
                gone = watched if job is None and watched is not None and watched.progress.error else None
                view = await self._view(
                    visitor.user_id, job or gone
                )  # of one that failed, why: it is kept nowhere else
                told = json.dumps(view.as_json(), separators=(",", ":"))
                if told != shown:
                    await response.write(b"event: instance\ndata: " + told.encode() + b"\n\n")
                    shown, beat = told, self._clock.monotonic() + BEAT_S
                elif self._clock.monotonic() >= beat:
                    await response.write(b": still here\n\n")
                    beat = self._clock.monotonic() + BEAT_S
                if view.ready or self._leaving():
                    break
                await self._next(job)
        except ConnectionError:
            pass  # the page was closed: nobody to tell
        return response

    async def _next(self, job: Job | None) -> None:
        """Return when there may be news."""
        at = self._clock.monotonic() + LOOK_S
        if job is None:
            await before(self._clock, at)
        else:
            changed = asyncio.ensure_future(job.progress.changed())
            try:
                await before(self._clock, at, changed)
            finally:
                changed.cancel()

    async def _usual_times(self) -> Mapping[tuple[str, str], Usual]:
        if self._clock.monotonic() >= self._usual_until:
            self._usual_until = self._clock.monotonic() + USUAL_FOR_S
            self._usual = await self._store.usual()
        return self._usual


def to(path: str) -> web.Response:
    """303 to a path of ours, never kept."""
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})


def view_of(
    instance: Instance | None,
    job: Job | None,
    waiting: Waiting | None,
    usual: Mapping[tuple[str, str], Usual],
    clock: Clock,
    *,
    tries: int,
) -> InstanceView:
    """What the owner may see, from what this replica does and what the record says."""
    if job is not None:
        progress = job.progress
        steps = tuple(
            _step(step.name, StepState(step.state), usual.get((progress.path, step.name)), took_s=step.took_s)
            for step in progress.steps()
        )
        return InstanceView(
            state=_shown_state(instance, progress),
            steps=steps,
            since=progress.since,
            eta_s=remaining(steps),
            attempt=progress.attempt,
            attempts=progress.attempts,
            error=progress.error or progress.cause,
        )
    state = State.PROVISIONING if instance is None else instance.state
    done = StepState.DONE if state is State.ACTIVE else StepState.WAITING
    return InstanceView(
        state=state,
        steps=tuple(_step(name, done, usual.get(("provision", name))) for name in PROVISION),
        since=clock.now() if instance is None else instance.state_since,
        eta_s=None if waiting is None else max(0.0, (waiting.next_retry_at - clock.now()).total_seconds()),
        attempt=1 if waiting is None else waiting.attempts + (not waiting.dead),
        attempts=None if waiting is None else tries,
        given_up=waiting is not None and waiting.dead,
        place=None if waiting is None else waiting.place,
        error=None if waiting is None else waiting.error,
    )


def _step(name: str, state: StepState, usual: Usual | None, *, took_s: float | None = None) -> StepView:
    if usual is None:
        return StepView(name=name, state=state, took_s=took_s)
    return StepView(name=name, state=state, took_s=took_s, usual_s=usual.median_s, slow_s=usual.p95_s)


def _shown_state(instance: Instance | None, progress: Progress) -> State:
    """While work runs the page must not hear "active" from a row that the work is about to correct."""
    if instance is None:
        return State.PROVISIONING
    if instance.state is State.ACTIVE and not progress.finished:
        return State.WAKING
    return instance.state
