"""How many requests may wait for sleeping Machines."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import TooManyHeld
from provisioner.instance import UserId


class Places:
    """Seats for held requests, per user and in all, on one replica. Nobody waits for a seat."""

    def __init__(self, *, per_user: int, total: int) -> None:
        self._per_user = per_user
        self._total = total
        self._taken: Counter[UserId] = Counter()
        self.held = 0

    @contextmanager
    def take(self, user_id: UserId) -> Iterator[None]:
        """A seat for the block. Raises TooManyHeld when none is free."""
        if self.held >= self._total or self._taken[user_id] >= self._per_user:
            raise TooManyHeld(f"{self.held} requests are held")
        self.held += 1
        self._taken[user_id] += 1
        try:
            yield
        finally:
            self.held -= 1
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]
