"""One request and its answer, streamed both ways as they come."""

import asyncio
from typing import Final, Protocol

from golden.guard.relay.answer import Answer, Passage, problem
from golden.guard.relay.body import LAST_CHUNK, BodyReader, Buffer, UntilClose, chunk, reader_for
from golden.guard.relay.errors import Malformed, Unreachable
from golden.guard.relay.head import AnswerHead, Framing, RequestHead, field_lines, head_end, parse_answer
from golden.guard.relay.tunnel import Tunnel
from golden.guard.relay.upstream import Upstream

HOLD_LIMIT: Final = 64 * 1024
"""Bytes of a body kept while there is no connection to the upstream yet; the rest stays with the client."""

_SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_UPGRADE: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


class Client(Protocol):
    """What an exchange needs of the connection its request came on."""

    def write(self, pieces: list[Buffer]) -> None: ...

    def read(self, on: bool) -> None: ...

    def answer(self, answer: Answer, request: RequestHead, *, request_done: bool) -> None: ...

    def over(self, *, keep_alive: bool, request_done: bool) -> None: ...

    def switch(self, tunnel: Tunnel) -> None: ...

    def close(self) -> None: ...


class Exchange:
    """Carries one request up and its answer down.

    Nothing is kept but what one read delivered: when a side takes no more, the other is not read.
    A safe request without a body is sent once more if a kept connection turns out to be dead.
    """

    __slots__ = (
        "_answer", "_client", "_download", "_early", "_held", "_held_size", "_keep_alive", "_link", "_opening",
        "_passage", "_replayable", "_request", "_upload", "_uploaded", "_upstream", "moved_at",
    )  # fmt: skip

    def __init__(self, client: Client, request: RequestHead, passage: Passage) -> None:
        self._client, self._request, self._passage = client, request, passage
        self._upload: BodyReader = reader_for(request)
        self._uploaded = self._upload.done
        self._download: BodyReader | None = None
        self._answer: AnswerHead | None = None
        self._upstream: Upstream | None = None
        self._opening: asyncio.Task[None] | None = None
        self._held: list[Buffer] = []
        self._held_size = 0
        self._early = b""
        self._keep_alive = False
        self._replayable = request.method in _SAFE and request.framing is Framing.NONE and not request.websocket
        self.moved_at = asyncio.get_running_loop().time()
        """When bytes last went either way, on the loop's clock."""

    @property
    def waiting(self) -> bool:
        """The answer has not begun."""
        return self._answer is None

    def start(self) -> None:
        """Find a connection and send the head."""
        upstream = self._passage.link.idle(replayable=self._replayable)
        if upstream is None:
            self._open()
        else:
            self._go(upstream)

    # The client's side.

    def from_client(self, data: bytes) -> int:
        """Carry `data` up; how much of it was this request's.

        Raises:
            Malformed: the body is broken. The caller answers and calls `client_gone`.
        """
        if self._uploaded:
            return 0
        pieces: list[Buffer] = []
        used = self._upload.feed(data, pieces)
        self._uploaded = self._upload.done
        if self._request.framing is Framing.CHUNKED:
            pieces = chunk(pieces)
            if self._uploaded:
                pieces.append(LAST_CHUNK)
        self.moved_at = asyncio.get_running_loop().time()
        if self._upstream is not None:
            self._upstream.write(pieces)
        else:
            self._held += pieces
            self._held_size += sum(map(len, pieces))
            if self._held_size > HOLD_LIMIT:
                self._client.read(False)
        return used

    def client_full(self, full: bool) -> None:
        """The client takes no more bytes for now; or takes them again."""
        if self._upstream is not None:
            self._upstream.read(not full)

    def client_gone(self) -> None:
        """Nobody waits for the answer any more: let the upstream know at once."""
        if self._opening is not None:
            self._opening.cancel()
        if self._upstream is not None:
            self._upstream.drop()
            self._upstream = None

    # The upstream's side.

    def from_upstream(self, data: bytes) -> None:
        self.moved_at = asyncio.get_running_loop().time()
        pieces: list[Buffer] = []
        try:
            if self._download is None:
                data = self._read_head(self._early + data, pieces)
                if self._download is None:
                    return
            self._carry_down(data, pieces)
        except Malformed as bad:
            self._fail(problem(502, f"The application's answer is not HTTP/1.1: {bad.what}"))

    def upstream_ended(self, *, clean: bool) -> None:
        upstream, self._upstream = self._upstream, None
        if self._answer is None:
            if self._replayable and upstream is not None and upstream.reused and not self._early:
                self._open()  # the upstream had closed it while it was idle
            else:
                self._fail(problem(502, "The application closed the connection before it answered."))
        elif clean and isinstance(self._download, UntilClose):
            if self._request.minor:
                self._client.write([LAST_CHUNK])
            self._client.over(keep_alive=self._keep_alive, request_done=self._uploaded)
        else:
            self._client.close()  # short of what was announced, so that the client can tell

    def upstream_full(self, full: bool) -> None:
        self._client.read(not full)

    # Inside.

    def _open(self) -> None:
        self._opening = asyncio.get_running_loop().create_task(self._opened())

    async def _opened(self) -> None:
        try:
            upstream = await self._passage.link.open()
        except Unreachable as why:
            self._opening = None
            self._fail(problem(why.status, why.detail, retry_after=why.retry_after))
        else:
            self._opening = None
            self._go(upstream)

    def _go(self, upstream: Upstream) -> None:
        request = self._request
        head = [b"%b %b HTTP/1.1\r\n" % (request.method, request.target), field_lines(self._passage.fields)]
        if request.framing is Framing.CHUNKED:
            head.append(_CHUNKED)
        if request.websocket:
            head.append(_UPGRADE)
        head.append(b"\r\n")
        self._upstream, upstream.owner = upstream, self
        if self._held_size > HOLD_LIMIT:
            self._client.read(True)
        upstream.write([b"".join(head), *self._held])
        self._held, self._held_size = [], 0

    def _read_head(self, data: bytes, pieces: list[Buffer]) -> bytes:
        """Take heads off `data` until the final one; the bytes after it. 1xx pass on as they come."""
        while (end := head_end(data)) >= 0:
            answer = parse_answer(data[:end], self._request.method)
            data = data[end:]
            if answer.status == 101:
                self._switch(answer, data)
                return b""
            line = b"HTTP/1.1 %d %b\r\n" % (answer.status, answer.reason)
            if answer.status < 200:
                if self._request.minor:
                    self._client.write([line + field_lines(answer.fields) + b"\r\n"])
                continue
            self._answer, self._download, self._early = answer, reader_for(answer), b""
            # An answer before the end of the request: the rest will not be read by anybody.
            self._keep_alive = self._request.keep_alive and self._uploaded
            head = [line, field_lines(answer.fields)]
            if answer.framing in (Framing.CHUNKED, Framing.CLOSE) and self._request.minor:
                head.append(_CHUNKED)
            if not self._keep_alive:
                head.append(b"Connection: close\r\n")
            head.append(b"\r\n")
            pieces.append(b"".join(head))
            return data
        self._early = data
        return b""

    def _carry_down(self, data: bytes, pieces: list[Buffer]) -> None:
        assert self._answer is not None and self._download is not None  # noqa: S101, PT018
        payload: list[Buffer] = []
        try:
            used = self._download.feed(data, payload) if data else 0
        except Malformed:
            self.client_gone()
            self._client.close()
            return
        if self._request.minor and self._answer.framing in (Framing.CHUNKED, Framing.CLOSE):
            payload = chunk(payload)
            if self._download.done:
                payload.append(LAST_CHUNK)
        self._client.write(pieces + payload)
        if self._download.done:
            self._finish(nothing_left=used == len(data))

    def _finish(self, *, nothing_left: bool) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            assert self._answer is not None  # noqa: S101
            upstream.read(True)
            flushed = not upstream.transport.get_write_buffer_size()
            if self._answer.keep_alive and self._uploaded and nothing_left and flushed:
                upstream.release()
            else:
                upstream.drop()
        self._client.over(keep_alive=self._keep_alive, request_done=self._uploaded)

    def _switch(self, answer: AnswerHead, rest: bytes) -> None:
        upstream = self._upstream
        if upstream is None or not (self._request.websocket and answer.websocket):
            raise Malformed("101 without having been asked.")
        self._client.write([b"HTTP/1.1 101 %b\r\n" % answer.reason + field_lines(answer.fields) + _UPGRADE + b"\r\n"])
        self._upstream = None
        tunnel = Tunnel(self._client, upstream)
        upstream.owner = tunnel
        if rest:
            tunnel.from_upstream(rest)
        self._client.switch(tunnel)

    def _fail(self, answer: Answer) -> None:
        self.client_gone()
        self._client.answer(answer, self._request, request_done=self._uploaded)
