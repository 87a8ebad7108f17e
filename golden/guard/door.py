"""Decides about every request at a Machine's door: answer, refuse, or let through to which port."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Final

from golden.guard.activity import Stream, busy
from golden.guard.admission import Admission
from golden.guard.app_process import AppProcess, AppState
from golden.guard.assertion import Refused
from golden.guard.log import log
from golden.guard.relay.answer import Answer, Passage, problem
from golden.guard.relay.errors import Unreachable
from golden.guard.relay.head import Field, RequestHead
from golden.guard.relay.upstream import Pool, Upstream

HOLD_S: Final = 30.0
"""How long a request waits for the App to accept connections."""
_RETRY_FIRST_S: Final = 0.01
_RETRY_LONGEST_S: Final = 0.1
_OURS: Final = frozenset((b"x-jarvis-assertion", b"x-jarvis-user", b"x-jarvis-email"))


class HeldLink:
    """A Link to a local port that waits for the App to come up."""

    def __init__(self, app: AppProcess, port: Callable[[], int]) -> None:
        self._app, self._port = app, port
        self._pool = Pool("127.0.0.1", port())

    def idle(self, *, replayable: bool) -> Upstream | None:
        return self._current().idle(replayable=replayable)

    async def open(self) -> Upstream:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + HOLD_S, _RETRY_FIRST_S
        while True:
            if self._app.failed:
                raise Unreachable(502, self._why_failed(), retry_after=max(1, round(self._app.pause_s)))
            try:
                upstream = await self._current().open()
            except Unreachable:
                if loop.time() > deadline:
                    detail = f"The application has not started to answer within {HOLD_S:.0f} seconds."
                    raise Unreachable(503, detail, retry_after=5) from None
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _RETRY_LONGEST_S)
            else:
                if self._port() == self._app.port:
                    self._app.answered()
                return upstream

    def _current(self) -> Pool:
        """The pool to the present port; a restarted App has another."""
        if self._pool.port != self._port():
            self._pool.clear()
            self._pool = Pool("127.0.0.1", self._port())
        return self._pool

    def _why_failed(self) -> str:
        return f"The application ends as soon as it is started (exit code {self._app.exit_code})."


class Door:
    """The handler of every request. `/_guard/*` is ours; the rest is the App's, once admitted."""

    def __init__(
        self,
        admission: Admission,
        app: AppProcess,
        routes: Mapping[str, int],
        *,
        boot_id: str,
        streams: Callable[[], Iterable[Stream]],
    ) -> None:
        self._admission, self._app, self._boot_id, self._streams = admission, app, boot_id, streams
        self._app_link = HeldLink(app, lambda: app.port)
        by_length = sorted(routes.items(), key=lambda route: -len(route[0]))
        self._routes = [(prefix.encode(), HeldLink(app, lambda port=port: port)) for prefix, port in by_length]  # type: ignore[misc]

    def __call__(self, request: RequestHead) -> Answer | Passage:
        path = request.target.partition(b"?")[0]
        if path == b"/_guard/health":
            return self._health()
        try:
            claims = self._admission.admit(request.fields)
        except Refused as why:
            log("refused", why=str(why))
            return problem(401, f"Only the gateway may come in: {why}.", (b"WWW-Authenticate", b"X-Jarvis-Assertion"))
        if path == b"/_guard/busy":
            return self._busy()
        if path.startswith(b"/_guard/"):
            return problem(404, "The Guard knows no such thing.")
        fields: list[Field] = [
            (name, value) for name, value in request.fields if name.lower().replace(b"_", b"-") not in _OURS
        ]
        fields.append((b"X-Jarvis-User", claims.user_id.encode()))
        fields.append((b"X-Jarvis-Email", claims.email.encode()))
        return Passage(self._link_for(path), fields)

    def _link_for(self, path: bytes) -> HeldLink:
        for prefix, link in self._routes:
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/"):
                return link
        return self._app_link

    def _health(self) -> Answer:
        state = self._app.state
        status = "failed" if self._app.failed else "ready" if state is AppState.READY else "starting"
        # The id lets the gateway notice that an address it kept belongs to another Machine by now.
        told = {"status": status, "app": state, "boot_id": self._boot_id, "machine_id": self._admission.audience}
        body = json.dumps(told)
        return Answer(200 if state is AppState.READY else 503, body.encode())

    def _busy(self) -> Answer:
        verdict = busy(self._streams(), now=asyncio.get_running_loop().time())
        return Answer(200, json.dumps(asdict(verdict)).encode())
