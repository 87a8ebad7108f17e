"""A record of the calls that were made, for tests that count and for people who wonder."""

from collections import Counter, deque
from dataclasses import dataclass, field

from localcloud.fly.records import Json

_MOST = 10_000


@dataclass(slots=True)
class Calls:
    """The latest calls, and how many there were of each action since the last reset."""

    latest: deque[Json] = field(default_factory=lambda: deque(maxlen=_MOST))
    counts: Counter[str] = field(default_factory=Counter)

    def begin(self, action: str, **facts: object) -> Json:
        """Note a call as it arrives; the edge adds `status` (None: no answer) and `fault` to what is returned."""
        call: Json = {"action": action, **facts, "status": None, "fault": None}
        self.counts[action] += 1
        self.latest.append(call)
        return call

    def reset(self) -> None:
        self.latest.clear()
        self.counts.clear()
