"""Decides about every request at a Machine's door: answer, refuse, or let through to which port."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from gateway.proxy.asked import Asked
from gateway.proxy.errors import (
    BodyStalled,
    BodyTooLarge,
    ExchangeCut,
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
)
from gateway.proxy.passage import Passage
from gateway.proxy.upstream import Upstream
from golden.guard.activity import Busy
from golden.guard.admission import Admission
from golden.guard.answer import Answer, problem
from golden.guard.app_process import AppProcess, AppState
from golden.guard.assertion import Claims, Refused
from golden.guard.claim import Desk, Taken, unclaimed
from golden.guard.link import Link
from golden.guard.log import log

_KEPT_PASSAGES: Final = 256
_SOON_S: Final = 5
_STATUS: Final[Mapping[type[UpstreamError], int]] = {
    UpstreamRefused: 502,
    UpstreamUnreachable: 503,
    UpstreamBusy: 503,
    UpstreamSilent: 504,
    UpstreamBroke: 502,
    UpstreamGarbled: 502,
    BodyTooLarge: 413,
    BodyStalled: 408,
    ExchangeCut: 503,
}


class Door:
    """Judges requests. `/_guard/*` is ours; the rest is the App's, once admitted."""

    def __init__(
        self,
        admission: Admission,
        app: AppProcess,
        links: Mapping[str, Link],
        *,
        boot_id: str,
        busy: Callable[[], Busy],
        desk: Desk | None = None,
    ) -> None:
        """`links`: by path prefix without a slash at the end; "" leads to the App. `desk`: where a spare is claimed."""
        self._desk = desk
        self._admission, self._app, self._boot_id, self._busy = admission, app, boot_id, busy
        self._links = [(prefix.encode(), links[prefix]) for prefix in sorted(links, key=len, reverse=True)]
        self._passages: dict[tuple[Claims, Link], Passage] = {}

    def judge(self, asked: Asked) -> Answer | Passage:
        """What becomes of a request."""
        path = asked.target.partition(b"?")[0]
        if path == b"/_guard/health":
            return self._health()
        if path == b"/_guard/claim" and self._desk is not None:
            return self._claim(self._desk, asked)
        if self._desk is not None and self._desk.owner is None:
            return problem(403, "This machine belongs to nobody yet.")
        try:
            claims = self._admission.admit(asked.values(b"x-jarvis-assertion"))
        except Refused as why:
            log("refused", why=str(why))
            return problem(401, f"Only the gateway may come in: {why}.", (b"WWW-Authenticate", b"X-Jarvis-Assertion"))
        if path == b"/_guard/busy":
            return Answer(200, json.dumps(asdict(self._busy())).encode())
        if path.startswith(b"/_guard/"):
            return problem(404, "The Guard knows no such thing.")
        return self._passage(claims, self._link_for(path))

    @staticmethod
    def _claim(desk: Desk, asked: Asked) -> Answer:
        if asked.method != b"POST":
            return problem(405, "A claim is posted.", (b"Allow", b"POST"))
        try:
            desk.claim(asked.values(b"x-jarvis-assertion"))
        except Refused as why:
            log("claim_refused", why=str(why))
            return problem(401, f"Only the gateway may claim: {why}.", (b"WWW-Authenticate", b"X-Jarvis-Assertion"))
        except Taken:
            log("claimed_already")
            return problem(409, "This machine belongs to somebody else.")
        except OSError as error:
            log("claim_not_kept", why=str(error))
            return problem(500, "The claim cannot be kept.")
        return Answer(200, b'{"claimed": true}')

    @staticmethod
    async def connect(passage: Passage) -> Upstream:
        """A connection to where `passage` leads, waited for; see Link."""
        link = passage.key
        assert isinstance(link, Link)  # noqa: S101
        return await link.connect()

    def explain(self, error: UpstreamError) -> Answer:
        """What the gateway reads if nothing came of a passage."""
        status = _STATUS[type(error)]
        retry_after = _SOON_S if status == 503 else None
        if isinstance(error, UpstreamRefused):
            retry_after = max(1, round(self._app.pause_s))
        return problem(status, f"The application gave no answer: {error}.", retry_after=retry_after)

    def _passage(self, claims: Claims, link: Link) -> Passage:
        """The way for `claims` over `link`: kept, as one assertion is good for minutes of requests."""
        passage = self._passages.get((claims, link))
        endpoint = link.endpoint
        if passage is None or passage.endpoint is not endpoint:
            if len(self._passages) >= _KEPT_PASSAGES:
                self._passages.clear()
            lines = f"X-Jarvis-User: {claims.user_id}\r\nX-Jarvis-Email: {claims.email}\r\n".encode()
            if claims.operator:
                lines += f"X-Jarvis-Operator: {claims.operator}\r\n".encode()
            passage = self._passages[claims, link] = Passage(endpoint=endpoint, key=link, lines=lines)
        return passage

    def _link_for(self, path: bytes) -> Link:
        for prefix, link in self._links:
            if not prefix or (path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/")):
                return link
        raise LookupError("no way to the application")

    def _health(self) -> Answer:
        if self._desk is not None and self._desk.owner is None:
            return Answer(503, unclaimed(self._boot_id, self._admission.audience))
        state = self._app.state
        status = "failed" if self._app.failed else "ready" if state is AppState.READY else "starting"
        # The id lets the gateway notice that an address it kept belongs to another Machine by now.
        told = {"status": status, "app": state, "boot_id": self._boot_id, "machine_id": self._admission.audience}
        return Answer(200 if state is AppState.READY else 503, json.dumps(told).encode())
