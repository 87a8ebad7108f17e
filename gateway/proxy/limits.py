"""What one exchange may take: time, bytes, connections."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyLimits:
    """Times in seconds, sizes in bytes. Deadlines are checked every `tick_s`, not to the millisecond."""

    connect_s: float = 2.0
    """For one TCP connection to a Machine, or for a free one. Longer holds dead wakes, shorter loses slow ones."""
    silent_s: float = 1.0
    """Without a byte of an answer for so long, a Machine may be asleep: whoever knows is told, the request waits on."""
    first_byte_s: float = 300.0
    """From the whole request sent to the head of the answer. Generous: an agent may think for minutes."""
    idle_s: float = 3600.0
    """A stream (WebSocket, event stream, download) on which nothing at all moved, not even a ping."""
    stall_s: float = 120.0
    """Bytes are waiting and the receiving side takes none, or a promised request body does not come."""
    head_s: float = 20.0
    """For a client to finish a request head it began. Slow-loris protection."""
    keepalive_s: float = 620.0
    """An idle client connection. Longer than the edge keeps its own, so that the edge is the one to close."""
    continue_s: float = 1.0
    """How long a Machine may leave `Expect: 100-continue` unanswered before we answer it."""
    drain_s: float = 2.0
    """For a WebSocket client to answer our close frame before its connection is cut."""
    tick_s: float = 0.5
    """Between two looks at all deadlines. One timer for all exchanges instead of one each."""

    max_head_bytes: int = 65_536
    """A whole request or answer head. Long cookie lines are common; beyond: 431, or 502 for answers."""
    max_target_bytes: int = 32_768
    """A request target; beyond: 414."""
    max_fields: int = 256
    """Header fields of one head; beyond: 431."""
    max_body_bytes: int | None = None
    """A request body; beyond: BodyTooLarge. None: as large as it likes, nothing is buffered."""

    per_endpoint: int = 512
    """Connections to one Endpoint, WebSockets included. Further requests wait for one."""
    idle_pool_s: float = 4.0
    """An unused upstream connection. Shorter than the keep-alive of anything a Machine runs (Node: 5 s)."""

    high_water: int = 262_144
    """Bytes waiting in one socket's write buffer before its source is paused."""
    low_water: int = 65_536
    """Bytes left when the source goes on."""
    read_buffer: int = 131_072
    """Bytes of a request body held while nobody reads them (half of where reading stops)."""
