"""A record of the calls that were made, for tests that count and for people who wonder."""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

from localcloud.fly.records import Json

_MOST = 10_000


@dataclass(slots=True)
class Calls:
    """The latest calls, and since the last reset: calls of each action, and how often each status answered it."""

    latest: deque[Json] = field(default_factory=lambda: deque(maxlen=_MOST))
    counts: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def begin(self, action: str, **facts: object) -> Json:
        """Note a call as it arrives; the edge adds the `fault` that struck it, if any."""
        call: Json = {"action": action, **facts, "status": None, "fault": None}
        self.counts[action] += 1
        self.latest.append(call)
        return call

    def end(self, call: Json, status: int | None) -> None:
        """Note what was answered; None: nothing."""
        call["status"] = status
        self.answers[call["action"]][str(status) if status else "none"] += 1

    def reset(self) -> None:
        self.latest.clear()
        self.answers.clear()
        self.counts.clear()
