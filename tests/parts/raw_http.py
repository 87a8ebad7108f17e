"""HTTP as bytes on a socket, for requests that no well-meaning client would send."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything that came back on one connection."""

    raw: bytes

    @property
    def status(self) -> int:
        """Of the first answer; 0 if the connection ended without one."""
        return int(self.raw[9:12]) if self.raw.startswith(b"HTTP/1.1 ") else 0

    @property
    def answers(self) -> int:
        """How many requests were seen in what was sent."""
        return self.raw.count(b"HTTP/1.1 ")

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def json(self) -> Any:
        """The body of the one answer."""
        return json.loads(self.raw.partition(b"\r\n\r\n")[2])


async def exchange(origin: str, *pieces: bytes, within: float = 30.0) -> Heard:
    """Send `pieces` one after another, then listen until the server hangs up.

    Say `Connection: close` in what has to be answered and is not refused, or this waits in vain.
    """
    where = urlsplit(origin)
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return Heard(await reader.read(-1))
        except ConnectionResetError:
            return Heard(b"")
        finally:
            writer.transport.abort()


def request(*lines: str | bytes, body: bytes = b"") -> bytes:
    """A request of these lines, each with its CRLF, and the empty line."""
    encoded = (line if isinstance(line, bytes) else line.encode() for line in lines)
    return b"".join(line + b"\r\n" for line in encoded) + b"\r\n" + body
