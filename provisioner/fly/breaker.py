"""When to leave Fly alone: a circuit breaker as plain values, told what happened and asked whether to call.

Two kinds of trouble open it. Faults: many calls in a row, on several things, that nobody answered or that Fly broke
on; it closes by itself when a probe is answered. A refused token: one refusal is enough, as no call will succeed
before the operator acts, and a probe a minute finds out when they have.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Condition(StrEnum):
    """How it stands between us and Fly."""

    OK = "ok"
    FAULTS = "faults"
    """Fly fails on everything that is asked of it: asked little, by probes."""
    TOKEN_REFUSED = "token_refused"  # noqa: S105  no secret
    """Fly does not take our token: nothing is asked but a probe a minute."""


FAILURES: Final = 8
"""Failures in a row, without an answer between them, until it opens."""
THINGS: Final = 3
"""On so many Machines or apps at least: one dead host must not stop the calls about all others."""
FIRST_REST_S: Final = 2.0
LONGEST_REST_S: Final = 30.0
TOKEN_REST_S: Final = 60.0


@dataclass(slots=True)
class Breaker:
    """One for all calls of a replica. Instants are monotonic seconds."""

    condition: Condition = Condition.OK
    _failures: int = 0
    _things: set[str] = field(default_factory=set)
    _rest: float = FIRST_REST_S
    _ask_at: float = 0.0
    _probing: bool = False

    def rest(self, now: float) -> float:
        """Seconds until a call may be made, 0 for now."""
        if self.condition is Condition.OK:
            return 0.0
        if self._ask_at > now:
            return self._ask_at - now
        return FIRST_REST_S if self._probing else 0.0

    def admit(self, now: float) -> float:
        """The same for whoever makes the call now. When one may be tried it is the probe, and until its outcome is told
        by `answered`, `failed`, `token_refused` or `unsaid` the others have to wait."""
        rest = self.rest(now)
        if not rest and self.condition is not Condition.OK:
            self._probing = True
        return rest

    def answered(self) -> bool:
        """Fly took a call and gave a sensible answer, if only a refusal. True if that closes it."""
        was, self.condition = self.condition, Condition.OK
        self._failures, self._rest, self._probing = 0, FIRST_REST_S, False
        self._things.clear()
        return was is not Condition.OK

    def failed(self, thing: str, now: float) -> bool:
        """A call about `thing` was not answered, or Fly broke on it. True if that opens it."""
        if self.condition is not Condition.OK:
            self._open(self.condition, now, TOKEN_REST_S if self.condition is Condition.TOKEN_REFUSED else self._rest)
            return False
        self._failures += 1
        self._things.add(thing)
        if self._failures < FAILURES or len(self._things) < THINGS:
            return False
        self._open(Condition.FAULTS, now, self._rest)
        return True

    def token_refused(self, now: float) -> bool:
        """Fly did not take our token. True if that opens it."""
        opens = self.condition is not Condition.TOKEN_REFUSED
        self._open(Condition.TOKEN_REFUSED, now, TOKEN_REST_S)
        return opens

    def unsaid(self) -> None:
        """The call was given up before anything was known of it: another may be the probe."""
        self._probing = False

    def _open(self, condition: Condition, now: float, rest: float) -> None:
        self.condition, self._probing = condition, False
        self._ask_at = now + rest
        self._rest = min(LONGEST_REST_S, self._rest * 2)
