"""Trouble on demand: what may be scripted, and which call it strikes."""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import count
from typing import Any, Final

from localcloud.fly.shapes import INTEGER, NUMBER, OBJECT, STRING, Kind, one_of, problems, shape

FAULT_SHAPES: Final[Mapping[str, Kind]] = {
    "status": shape("status", status=INTEGER, headers=OBJECT),  # `body` may be any JSON; not executed
    "hang": shape(seconds=NUMBER),  # no work, no answer; the connection closes after `seconds` (default: an hour)
    "delay": shape("seconds", seconds=NUMBER),  # work and answer, but later
    "lost_answer": shape(),  # the work is done, the connection closes without an answer
    "reset": shape(),  # the connection is reset before any work
    "refuse_connection": shape(seconds=NUMBER),  # reset, and nobody listens for `seconds` (default 0)
    "capacity": shape("scope", scope=one_of("host", "volume_host", "region", "organisation")),
    "rate_limit": shape(retry_after=INTEGER),
    "boot_failure": shape(),  # the call is accepted, but the Machine it starts ends in `failed`
}

RULE: Final = shape("fault", match=shape(method=STRING, path=STRING, action=STRING), fault=OBJECT, after=INTEGER)


@dataclass(slots=True, kw_only=True)
class Rule:
    """A fault and the calls it strikes: `times` of them (None: all), after letting `after` pass unharmed."""

    id: int
    fault: dict[str, Any]
    method: str | None = None
    path: str | None = None
    action: str | None = None
    times: int | None = 1
    after: int = 0
    chance: float = 1.0
    struck: int = 0

    def fits(self, method: str, path: str, action: str) -> bool:
        """Whether the call is meant. `path` is a glob for the whole path, or a regular expression found in it."""
        return (
            (self.method is None or self.method.upper() == method)
            and (self.action is None or self.action == action)
            and (self.path is None or _path_fits(self.path, path))
        )


def _path_fits(pattern: str, path: str) -> bool:
    if fnmatch.fnmatchcase(path, pattern):
        return True
    try:
        return re.search(pattern, path) is not None
    except re.error:
        return False


class BadRule(Exception):
    """A rule that was not understood; the text says why."""


@dataclass(slots=True)
class Faults:
    """The rules, oldest first: the first that fits a call strikes it."""

    rules: list[Rule] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, script: object) -> Rule:
        """A rule from JSON: `{match: {method, path, action}, times, after, chance, fault: {kind, …}}`."""
        wrong = list(problems(script, RULE))
        if wrong or not isinstance(script, dict):
            raise BadRule("; ".join(wrong))
        fault = script["fault"]
        kind = fault.get("kind")
        if kind not in FAULT_SHAPES:
            raise BadRule(f"body.fault.kind must be one of {', '.join(FAULT_SHAPES)}")
        wrong = list(problems(fault, FAULT_SHAPES[kind], "body.fault"))
        wrong += [f"body.match.{key} is unknown" for key in script.get("match", {}) if key not in _MATCHES]
        wrong += [f"body.{key} is unknown" for key in script if key not in _RULE_KEYS]
        if wrong:
            raise BadRule("; ".join(wrong))
        rule = Rule(
            id=next(self._ids),
            fault=fault,
            times=script.get("times", 1),
            after=script.get("after", 0),
            chance=script.get("chance", 1.0),
            **script.get("match", {}),
        )
        self.rules.append(rule)
        return rule

    def strike(self, method: str, path: str, action: str, chance: float) -> dict[str, Any] | None:
        """The fault for this call, if any. `chance` is a number in [0, 1) against which a rule's chance is held."""
        for rule in self.rules:
            if not rule.fits(method, path, action):
                continue
            if rule.after:
                rule.after -= 1
                continue
            if chance >= rule.chance:
                continue
            rule.struck += 1
            if rule.times is not None and rule.struck >= rule.times:
                self.rules.remove(rule)
            return rule.fault
        return None


_MATCHES: Final = {"method", "path", "action"}
_RULE_KEYS: Final = {"match", "times", "after", "chance", "fault"}


@dataclass(slots=True, kw_only=True)
class Latencies:
    """How long things take at this Fly, in seconds. Real ones are longer: see the durations of Fly's docs."""

    create: float = 0.05
    """From the answer of a create to the prepared image; a start before that is refused with 412."""
    start: float = 0.02
    """From `starting` to a running main process."""
    resume: float = 0.02
    suspend: float = 0.05
    stop: float = 0.0
    """On top of what the main process takes to end."""
    restart: float = 0.02
    """Before a Machine that exited by itself is started again."""
    update: float = 0.02
    destroy: float = 0.0
    delete_app: float = 0.02
    volume: float = 0.0
    """From `creating` (or `restoring`) to `created`."""
    invisible: float = 0.0
    """How long a new app or Machine still answers 404."""
    afterlife: float = 1.0
    """How long a destroyed Machine still answers, as `destroyed`, before it is 404."""

    def change(self, wanted: object) -> None:
        """Set some of them from JSON. Raises BadRule for an unknown name or a number below zero."""
        names = {item.name for item in fields(self)}
        if not isinstance(wanted, dict):
            raise BadRule("body must be an object")
        for name, seconds in wanted.items():
            if name not in names:
                raise BadRule(f"there is no latency {name}; there are {', '.join(sorted(names))}")
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
                raise BadRule(f"body.{name} must be a number of seconds")
        for name, seconds in wanted.items():
            setattr(self, name, float(seconds))
