"""The bucket that all calls to /token from one address drink from."""

from datetime import datetime


class Buckets:
    """Token buckets by key: `burst` at once, refilled evenly at `per_hour`."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, datetime]] = {}

    def take(self, key: str, *, burst: int, per_hour: int, now: datetime) -> bool:
        """Whether one more call fits. A refused call costs nothing."""
        level, since = self._levels.get(key, (float(burst), now))
        level = min(float(burst), level + max(0.0, (now - since).total_seconds()) * per_hour / 3600)
        taken = level >= 1
        self._levels[key] = (level - 1 if taken else level, now)
        return taken

    def refill(self) -> None:
        """Forget who called."""
        self._levels.clear()
