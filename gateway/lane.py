"""Who may take the fast lane: signed in, with a ready Machine, and nothing about it to think over.

Whatever is not known at once is the core's, which may wait, ask the database, wake a Machine and show pages.
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.directory import Directory
from gateway.gate import PASSAGE_FRESH_S, Gate
from gateway.limits.limits import RateLimits
from gateway.observe import Metrics
from gateway.proxy.asked import Asked
from gateway.proxy.errors import UpstreamError
from gateway.proxy.relay import Passage
from gateway.request import RESERVED
from gateway.session.identity import Identity
from gateway.session.sessions import Sessions
from provisioner.clock import Clock
from provisioner.instance import Instance, UserId

LOOK_EVERY_S: Final = 1.0
"""A session is looked at once in this time; that one ended is told us at once."""
KNOWN_MOST: Final = 20_000
_RESERVED: Final = tuple(prefix.encode() for prefix in RESERVED)
_FAR: Final = 3 * max(len(prefix) for prefix in RESERVED)
"""Where a reserved prefix ends, were every letter of it spelled `%xx`."""
_SESSION_ID: Final = re.compile(rb"[A-Za-z0-9_-]{43}").fullmatch


class _Known:
    """A session that came lately, and the way through it was given."""

    __slots__ = ("client", "cookie", "fresh_until", "host", "identity", "instance", "look_at", "passage", "user_id")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.user_id: UserId = identity.user_id
        self.look_at = 0.0
        self.cookie = b""
        self.instance: Instance | None = None
        self.host = b""
        self.client = ""
        self.fresh_until = 0.0
        self.passage: Passage | None = None


class FastGate:
    """Decides for `gateway.proxy.lane`, from memory alone."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        directory: Directory,
        gate: Gate,
        clock: Clock,
        metrics: Metrics,
        limits: RateLimits,
        client_ip_header: str,
        elsewhere: Callable[[str], bool],
    ) -> None:
        """`elsewhere` knows the hosts at which no Machine ever answers."""
        self._elsewhere = elsewhere
        self._sessions = sessions
        self._directory = directory
        self._gate = gate
        self._clock = clock
        self._passed = metrics.passed
        self._take = limits.take
        self._header = client_ip_header.lower().encode()
        self._name = sessions.names.session.encode()
        self._named = self._name + b"="
        self._spaced = (self._name + b" ", self._name + b"\t")
        self._known: dict[bytes, _Known] = {}
        self._ids: dict[bytes, bytes] = {}  # hash of a session's id → the id
        self.closed = False
        """Everything goes to the core, which says why."""
        sessions.when_ended(self._ended)

    def decide(self, asked: Asked, peer: str) -> Passage | None:
        """The way to their Machine for a plain request; None if it is for the core."""
        target = asked.target
        if (
            self.closed
            or target.startswith(_RESERVED)
            or (b"%" in target[:_FAR] and unquote_to_bytes(target[:_FAR]).startswith(_RESERVED))
        ):
            return None
        cookie, named = asked.cookie, self._named
        at = cookie.find(named)
        if at < 0:
            return None
        start = at + len(named)
        cookie_id = cookie[start : start + 43]
        now = self._clock.monotonic()
        known = self._known.get(cookie_id)
        if known is None or now >= known.look_at:
            known = self._look(cookie_id, now)
            if known is None:
                return None
        if known.cookie != cookie:  # a browser sends the same again and again: most are judged already
            if not self._is_clear(cookie, at):
                return None
            known.cookie = cookie
        instance = self._directory.ready(known.user_id)
        if instance is None or not self._gate.has_room(known.user_id):
            return None
        if asked.authorization and not self._foreign(asked):
            return None
        client = self._told(asked, peer) if self._header else peer
        passage = known.passage
        if (
            passage is None
            or known.instance is not instance
            or known.host != asked.host
            or known.client != client
            or now >= known.fresh_until
        ):
            host = asked.host.decode("ascii")
            if self._elsewhere(host):
                return None
            passage = self._gate.passage(known.identity, instance, client=client, host=host, bearer=False)
            known.passage, known.instance, known.host, known.client = passage, instance, asked.host, client
            known.fresh_until = now + PASSAGE_FRESH_S
        if self._take(known.user_id) is not None:
            return None  # the core says how long they have to wait
        self._passed.n += 1
        return passage

    def failed(self, passage: Passage, error: UpstreamError) -> None:
        """Nothing came back: the core finds out why."""
        user_id: UserId = passage.key  # type: ignore[assignment]  # the gate's own choice of key
        self._gate.failed(passage, user_id, error)

    def _is_clear(self, cookie: bytes, at: int) -> bool:
        """The session id whose cookie begins at `at` is the only one, as `gateway.session.cookie` reads it.

        What could be read in a second way, or not at all, is left to that.
        """
        named = self._named
        end = at + len(named) + 43
        before = cookie[:at].rstrip(b" \t")
        return (
            cookie.find(named, at + 1) < 0
            and not any(spaced in cookie for spaced in self._spaced)
            and cookie[end : end + 1] in (b"", b";")
            and (not before or before[-1:] == b";")
        )

    def _look(self, cookie_id: bytes, now: float) -> _Known | None:
        known = self._known.get(cookie_id)
        identity = self._sessions.peek(cookie_id.decode("ascii")) if _SESSION_ID(cookie_id) else None
        if identity is None:
            if known is not None:
                self._forget(cookie_id, known)
            return None
        if known is None or known.identity is not identity:
            if len(self._known) >= KNOWN_MOST:
                self._ended(None)
            known = self._known[cookie_id] = _Known(identity)
            self._ids[identity.session] = cookie_id
        known.look_at = now + LOOK_EVERY_S
        return known

    def _foreign(self, asked: Asked) -> bool:
        """Authorization is there, and certainly the App's."""
        values = asked.values(b"authorization")
        return len(values) == 1 and self._sessions.bearer(values[0].decode("utf-8", "surrogateescape")) is None

    def _told(self, asked: Asked, peer: str) -> str:
        values = asked.values(self._header)
        return (values[0].decode("utf-8", "surrogateescape").strip() if values else "") or peer

    def _ended(self, session: bytes | None) -> None:
        """A session is over, on whichever replica; None: any may be."""
        if session is None:
            self._known.clear()
            self._ids.clear()
        elif (cookie_id := self._ids.pop(session, None)) is not None:
            self._known.pop(cookie_id, None)

    def _forget(self, cookie_id: bytes, known: _Known) -> None:
        del self._known[cookie_id]
        self._ids.pop(known.identity.session, None)
