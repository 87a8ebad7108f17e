"""From a signed-in request to their Machine's answer: wake it if it sleeps, hold the request, try again where safe."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from aiohttp import web
from cachetools import TTLCache

from gateway.activity import Activity
from gateway.directory import Directory
from gateway.errors import NothingToVisit, TooManyOpen
from gateway.places import Places
from gateway.proxy.errors import UpstreamBroke, UpstreamError
from gateway.proxy.fields import Cookies
from gateway.proxy.relay import Passage, Relay, fault_of
from gateway.request import Kind, forwarded
from gateway.session.identity import Identity
from provisioner.clock import Clock, before
from provisioner.errors import WakeExpired
from provisioner.instance import ASLEEP, Endpoint, Instance, State, UserId
from provisioner.lifecycle import Lifecycle, Visitor
from provisioner.parts import Parts
from provisioner.progress import Progress

log = structlog.get_logger(__name__)

TRIES: Final = 3
"""Of a request that did not leave us: the Machine may have gone to sleep, moved, or died between look and knock."""
ASSERTION_FRESH_S: Final = 120.0
"""Age at which a kept assertion is replaced: far from its end, because a Machine's clock may run ahead too."""
PASSAGE_FRESH_S: Final = 30.0
"""For which a Passage may be used again; with the assertion's age in it, still far from its end."""
PASSAGES_MOST: Final = 4_000
LOOK_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """How long a request waits for a Machine, in seconds."""

    hold_first_visit_s: float
    hold_navigation_s: float
    hold_s: float
    open_per_user: int
    read_ahead: int
    """Bytes of a body that are read before anybody asks for them."""
    scheme: str
    drop_cookies: frozenset[bytes]
    drop_cookie_prefixes: tuple[bytes, ...]


class Gate:
    """The way in for everything that belongs to a user's Machine."""

    def __init__(
        self,
        *,
        parts: Parts,
        lifecycle: Lifecycle,
        directory: Directory,
        relay: Relay,
        activity: Activity,
        places: Places,
        settings: GateSettings,
    ) -> None:
        self._parts = parts
        self._clock: Clock = parts.clock
        self._lifecycle = lifecycle
        self._directory = directory
        self._relay = relay
        self._activity = activity
        self._places = places
        self._settings = settings
        self._ours = Cookies(settings.drop_cookies, settings.drop_cookie_prefixes)
        self._assertions: TTLCache[tuple[UserId, str | None, str | None], bytes] = TTLCache(
            100_000, ASSERTION_FRESH_S, timer=self._clock.monotonic
        )
        self._passages: dict[tuple[object, ...], tuple[Instance, float, Passage]] = {}  # with: until when
        self._looked: TTLCache[tuple[UserId, datetime], bool] = TTLCache(
            100_000, LOOK_EVERY_S, timer=self._clock.monotonic
        )

    async def pass_through(
        self, request: web.BaseRequest, identity: Identity, kind: Kind, *, client: str, bearer: bool
    ) -> web.StreamResponse:
        """Their Machine's answer, already on its way to the client when this returns.

        Raises what `Lifecycle.ensure_ready` raises, TooManyHeld, TooManyOpen, or an UpstreamError; then nothing was
        sent to the client.
        """
        began = self._clock.monotonic()
        visitor = Visitor(identity.user_id, identity.email)
        if not self.has_room(identity.user_id):
            raise TooManyOpen(f"{visitor.user_id} has {self._settings.open_per_user} open")
        self._activity.touch(identity.user_id)
        if identity.operator is not None and await self._directory.find(identity.user_id) is None:
            raise NothingToVisit(f"{visitor.user_id} has no Instance")
        doubt = fault_of(request) is not None  # the fast lane's try was the first, and failed
        timing = b""
        for left in reversed(range(TRIES - doubt)):
            instance = None if doubt else self._directory.ready(identity.user_id)
            if instance is None:
                kept = self._kept(request)
                instance, timing = await self._hold(visitor, kind, began, doubt=doubt, body_bytes=kept)
            passage = self._kept_passage(identity, instance, client=client, host=request.host, bearer=bearer)
            try:
                return await self._relay.relay(request, passage, added=timing)
            except UpstreamError as fault:
                self.failed(passage, identity.user_id, fault)
                if fault.sent or not left:
                    raise
                log.info("endpoint_in_doubt", user_id=str(identity.user_id), error=type(fault).__name__)
                doubt = True
        raise AssertionError("unreachable")  # pragma: no cover

    def _knock(self, visitor: Visitor, instance: Instance) -> None:
        """Their Machine is silent under a request: look whether it sleeps, and wake it, beside the request.

        A request that already lies in the socket of a suspended Machine is answered once it is resumed; it must not
        be sent again. At most one look in LOOK_EVERY_S: an agent that thinks for minutes is silent too.
        """
        awake = (visitor.user_id, instance.state_since)  # one that fell asleep again is another matter
        if awake not in self._looked:
            self._looked[awake] = True
            self._directory.drop(visitor.user_id)
            self._lifecycle.begin(visitor, actor="silence", doubt=True)

    def _kept(self, request: web.BaseRequest) -> int:
        """The most bytes of its body that are in memory while it waits: reading stops there."""
        most = self._settings.read_ahead
        return min(most, request.content_length or most) if request.body_exists else 0

    async def _hold(
        self, visitor: Visitor, kind: Kind, began: float, *, doubt: bool, body_bytes: int
    ) -> tuple[Instance, bytes]:
        """The Instance, its App up, and what the wake took that this request waited for, as a line for its answer."""
        state = asleep = None if doubt else self._directory.asleep(visitor.user_id)
        if asleep is None:
            found = await self._directory.find(visitor.user_id)
            if found is not None and not doubt and self._directory.ready(visitor.user_id) is found:
                return found, b""
            state = None if found is None else found.state
            asleep = state if state in ASLEEP else None
        within = self._settings.hold_s
        if kind is Kind.NAVIGATION:
            # A person: a wake is worth waiting for on a blank page, the making of a Machine is not.
            made = state not in (None, State.PROVISIONING, State.FAILED)
            within = self._settings.hold_navigation_s if made else self._settings.hold_first_visit_s
        with self._places.take(visitor.user_id, body_bytes=body_bytes):
            job = self._lifecycle.begin(visitor, doubt=doubt, asleep=asleep)
            job.outcome.add_done_callback(self._learn)
            # Where its answer is in doubt, the answer that a wake under way had is no news.
            awaited = job.outcome if doubt else job.answers
            waits = not awaited.done()
            if not await before(self._clock, began + within, awaited):
                raise WakeExpired(f"{visitor.user_id} is not ready yet")
        return awaited.result(), server_timing(job.progress) if waits else b""

    def _learn(self, outcome: asyncio.Future[Instance]) -> None:
        if not outcome.cancelled() and outcome.exception() is None:
            self._directory.learn(outcome.result())

    def passage(self, identity: Identity, instance: Instance, *, client: str, host: str, bearer: bool) -> Passage:
        """The way to their Machine for requests of one client to one host. To be made anew every PASSAGE_FRESH_S."""
        user_id = identity.user_id
        fields = (
            (b"X-Jarvis-User", str(user_id).encode()),
            (b"X-Jarvis-Email", identity.email.encode("ascii", "replace")),
            (b"X-Jarvis-Assertion", self._assertion(instance, identity.operator)),
            *forwarded(client, host, self._settings.scheme),
        )
        return Passage(
            endpoint=self._endpoint(instance),
            key=user_id,
            session=identity.session,
            lines=b"".join(b"%b: %b\r\n" % field for field in fields),
            ours=self._ours,
            drop_authorization=bearer,
            touch=partial(self._activity.touch, user_id),
            silent=lambda: self._knock(Visitor(user_id, identity.email), instance),
        )

    def _kept_passage(self, identity: Identity, instance: Instance, *, client: str, host: str, bearer: bool) -> Passage:
        """As `passage`, made anew no more often than it has to be."""
        key = (identity.user_id, identity.email, identity.session, client, host, bearer)
        kept, now = self._passages.get(key), self._clock.monotonic()
        if kept is not None and kept[0] is instance and now < kept[1]:
            return kept[2]
        if len(self._passages) >= PASSAGES_MOST:
            self._passages.clear()
        passage = self.passage(identity, instance, client=client, host=host, bearer=bearer)
        self._passages[key] = (instance, now + PASSAGE_FRESH_S, passage)
        return passage

    def has_room(self, user_id: UserId) -> bool:
        """One more exchange of theirs may be opened."""
        return self._relay.live.in_progress(user_id) < self._settings.open_per_user

    def failed(self, passage: Passage, user_id: UserId, fault: UpstreamError) -> None:
        """Their Machine did not answer there: neither connections nor what we know of it can be trusted.

        One that breaks off is looked after as a silent one is: Fly Proxy takes a connection to a Machine that was
        stopped behind our back, and closes it once the request was sent.
        """
        self._relay.drop_pool(passage.endpoint)
        self._directory.drop(user_id)
        if fault.sent and isinstance(fault, UpstreamBroke):
            passage.silent()

    def _endpoint(self, instance: Instance) -> Endpoint:
        if instance.private_ip is None:
            raise AssertionError(f"{instance.user_id} is ready and has no address")
        return self._parts.endpoint(instance.private_ip)

    def _assertion(self, instance: Instance, operator: str | None) -> bytes:
        key = (instance.user_id, instance.machine_id, operator)
        kept = self._assertions.get(key)
        if kept is None:
            made = self._parts.keys.assertion(instance, now=self._clock.now(), operator=operator)
            kept = self._assertions[key] = made.encode()
        return kept


def server_timing(progress: Progress) -> bytes:
    """What each step of a wake took, as browsers show it beside a request; nothing if no Machine had to come up."""
    took = progress.took()
    if not took.get(progress.machine):
        return b""
    return b"Server-Timing: " + ", ".join(f"wake-{name};dur={s * 1000:.0f}" for name, s in took.items()).encode()
