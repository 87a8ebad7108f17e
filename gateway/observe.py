"""What the operator can count: log lines with constant names, and Prometheus metrics."""

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from provisioner.job import Outcome

WAKE_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120)  # seconds


def configure_logging(*, format: Literal["json", "console"], level: str) -> None:
    """Log to stderr, one event a line. Called once, by the entry point.

    What libraries log from WARNING on joins in as `library_said`: a program that reads the lines can read all of them.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the other one prints every local, secrets too
        )
    )
    shown: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        *([structlog.processors.format_exc_info] if format == "json" else []),
        renderer,
    ]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *shown],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[_said, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shown]
        )
    )
    logging.basicConfig(handlers=[libraries], level=max(threshold, logging.WARNING))


def _said(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A library's words are no constant name: they become a fact of one that is ours."""
    record: logging.LogRecord = line["_record"]
    return {**line, "event": "library_said", "logger": record.name, "said": line["event"]}


class Tally:
    """Counts at the price of an addition, for the hot path; its Counter hears of it when somebody reads the metrics."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    def take(self) -> int:
        """What was counted since this was last asked."""
        n, self.n = self.n, 0
        return n


class Metrics:
    """One registry per gateway, so that two in one process do not count together."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "jarvis_requests", "Requests on the public listener by who answers.", ["by"], registry=self.registry
        )
        self._passed, self.own = requests.labels("machine"), requests.labels("gateway")
        self.passed = Tally()
        """Those passed to a Machine."""
        self.failures = Counter(
            "jarvis_failures",
            "Requests that we answered with an error, by its class.",
            ["error"],
            registry=self.registry,
        )
        self._too_often = Counter(
            "jarvis_too_often",
            "Requests beyond a rate limit, by limit; in shadow mode they were let pass.",
            ["limit"],
            registry=self.registry,
        )
        self.ready = Histogram(
            "jarvis_ready_seconds",
            "From a visit to a ready Instance, by path.",
            ["path"],
            buckets=WAKE_BUCKETS,
            registry=self.registry,
        )
        self.not_ready = Counter(
            "jarvis_not_ready", "Bring-ups that failed, by the class of the error.", ["error"], registry=self.registry
        )
        self._spares = Gauge(
            "jarvis_pool_spares",
            "Spare Machines: how many should be, and how many wait.",
            ["is"],
            registry=self.registry,
        )
        self._held = Gauge("jarvis_held_requests", "Requests that wait for a Machine here.", registry=self.registry)
        self._exchanges = Gauge("jarvis_open_exchanges", "Exchanges with Machines here.", registry=self.registry)

        self._fly_troubled = Gauge(
            "jarvis_fly_troubled",
            "1 while Fly is left alone here: it fails on everything, or refuses our token.",
            registry=self.registry,
        )

    def watch(
        self, *, held: Callable[[], float], exchanges: Callable[[], float], fly_troubled: Callable[[], float]
    ) -> None:
        """Read these gauges whenever somebody asks for the metrics."""
        self._fly_troubled.set_function(fly_troubled)
        self._held.set_function(held)
        self._exchanges.set_function(exchanges)

    def count(self, outcome: Outcome) -> None:
        """A bring-up ended."""
        if outcome.error is None:
            self.ready.labels(outcome.path).observe(outcome.took_s)
        else:
            self.not_ready.labels(outcome.error).inc()

    def pool(self, target: int, ready: int) -> None:
        """How the pool stands, on the replica that keeps it."""
        self._spares.labels("target").set(target)
        self._spares.labels("ready").set(ready)

    def too_often(self, limit: str) -> None:
        """A request was beyond this limit."""
        self._too_often.labels(limit).inc()

    def text(self) -> bytes:
        """The exposition format, for `/metrics`."""
        self._passed.inc(self.passed.take())
        return generate_latest(self.registry)
