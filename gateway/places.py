"""How many requests may wait for sleeping Machines."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import TooManyHeld
from provisioner.instance import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much may wait: requests, and bytes of their bodies that we hold meanwhile."""

    requests: int
    body_bytes: int


class Places:
    """Seats for held requests, per user and in all, on one replica. Nobody waits for a seat."""

    def __init__(self, *, per_user: Room, total: Room) -> None:
        self._per_user = per_user
        self._total = total
        self._requests: Counter[UserId] = Counter()
        self._bytes: Counter[UserId] = Counter()
        self.held = 0
        self.held_bytes = 0

    @contextmanager
    def take(self, user_id: UserId, *, body_bytes: int = 0) -> Iterator[None]:
        """A seat for the block. `body_bytes`: the most that is kept of the request's body while it waits.

        Raises TooManyHeld when there is no room.
        """
        if (
            self.held >= self._total.requests
            or self._requests[user_id] >= self._per_user.requests
            or self.held_bytes + body_bytes > self._total.body_bytes
            or self._bytes[user_id] + body_bytes > self._per_user.body_bytes
        ):
            raise TooManyHeld(f"{self.held} requests with {self.held_bytes} bytes are held")
        self._count(user_id, 1, body_bytes)
        try:
            yield
        finally:
            self._count(user_id, -1, -body_bytes)

    def _count(self, user_id: UserId, requests: int, body_bytes: int) -> None:
        self.held += requests
        self.held_bytes += body_bytes
        self._requests[user_id] += requests
        self._bytes[user_id] += body_bytes
        if not self._requests[user_id]:
            del self._requests[user_id], self._bytes[user_id]
