"""The Guard's inner door: on the Machine's loopback alone, for what runs inside.

A listener of its own, because browsers come through the outer one, and nobody out there may keep a Machine awake. One
small request a connection, read by hand: a library would cost every Machine more memory than this costs lines.

    PUT    /_guard/lease   {"reason": "nightly build", "ttl_s": 600}   take it, or renew it under the same reason
    DELETE /_guard/lease   {"reason": "nightly build"}                 give it back
    GET    /_guard/lease                                               what is held
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from golden.guard.answer import Answer, problem
from golden.guard.leases import NoLease, WorkLeases

PATH: Final = "/_guard/lease"
_MOST: Final = 8192
_PATIENCE_S: Final = 5.0


class InnerDoor:
    """Answers requests about work leases."""

    def __init__(self, leases: WorkLeases) -> None:
        self._leases = leases

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer; for `asyncio.start_server`."""
        with suppress(ConnectionError):
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    answer = await self._answer(reader)
            except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                answer = problem(400, "That is no request that the Guard can read.")
            writer.write(answer.encode(head_only=False, keep_alive=False))
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])
        }
        if "origin" in fields or "transfer-encoding" in fields:
            # A browser that runs in here may be on anybody's page; and nobody needs chunks for so small a body.
            return problem(403, "Not for pages, and not in chunks.")
        size = int(fields.get("content-length", "0"))
        if not 0 <= size <= _MOST:
            return problem(413, f"At most {_MOST} bytes.")
        body = await reader.readexactly(size)
        if target != PATH:
            return problem(404, f"Here is only {PATH}.")
        return self._lease(method, body)

    def _lease(self, method: str, body: bytes) -> Answer:
        if method == "GET":
            return _json({"leases": [asdict(lease) for lease in self._leases.held()]})
        if method not in ("PUT", "DELETE"):
            return problem(405, "GET, PUT or DELETE.", (b"Allow", b"GET, PUT, DELETE"))
        try:
            asked: Any = json.loads(body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            return problem(400, 'The body has to be JSON: {"reason": "…", "ttl_s": 600}.')
        try:
            if method == "PUT":
                return _json(asdict(self._leases.put(asked.get("reason"), asked.get("ttl_s"))))
        except NoLease as why:
            return problem(400, f"{why}.")
        if self._leases.drop(str(asked.get("reason"))):
            return _json({"given_back": True})
        return problem(404, "No lease is held with this reason.")


def _json(told: dict[str, Any]) -> Answer:
    return Answer(200, json.dumps(told).encode())
