"""What wrk prints, read."""

import re
from dataclasses import dataclass
from typing import Final

_TOTAL: Final = re.compile(r"^\s*(\d+) requests in ([\d.]+)(ms|s|m),", re.MULTILINE)
_P99: Final = re.compile(r"^\s*99%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_BAD: Final = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_SOCKETS: Final = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_IN_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Unreadable(Exception):
    """wrk said something else, or its load was not answered as it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run: how many requests in how many seconds, the 99th percentile of their latency, how many went wrong."""

    requests: int
    seconds: float
    p99_ms: float
    errors: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def read_wrk(text: str) -> Load:
    """The run from wrk's output with `--latency`. Raises Unreadable, also for more than one error in 1,000."""
    total, p99 = _TOTAL.search(text), _P99.search(text)
    if total is None or p99 is None:
        raise Unreadable(text[-500:])
    sockets, bad = _SOCKETS.search(text), _BAD.search(text)
    errors = int(bad[1]) if bad else 0
    if sockets:
        errors += sum(map(int, sockets.groups()))
    load = Load(
        requests=int(total[1]),
        seconds=float(total[2]) * _IN_MS[total[3]] / 1000,
        p99_ms=float(p99[1]) * _IN_MS[p99[2]],
        errors=errors,
    )
    if not load.requests or load.errors > load.requests / 1000:
        raise Unreadable(f"{load.errors} of {load.requests} requests went wrong:\n{text[-500:]}")
    return load
