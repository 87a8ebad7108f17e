"""What must hold, for the complete core and for the fast lane in front of it, and whether it does."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bench.figures import Rounds


class Lane(StrEnum):
    """Which of the gateway's two ways a plain request goes; the value of PROXY_LANE."""

    CORE = "core"
    FAST = "fast"

    @property
    def system(self) -> str:
        """Its name among the measured systems."""
        return f"my-jarvis {self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One row: our figure against a peer's of the same rounds, or against a number if there is no peer."""

    key: str
    what: str
    figure: str
    unit: str
    peer: str | None
    core: float
    fast: float
    at_least: bool = False
    """Ours ÷ peer must reach the number instead of staying below it."""

    def must(self, lane: Lane) -> float:
        return self.core if lane is Lane.CORE else self.fast


NGINX: Final = "nginx"
CHP: Final = "configurable-http-proxy"

TARGETS: Final = (
    Target(
        key="small_get_cpu_vs_nginx",
        what="small GET, CPU",
        figure="get_cpu_us",
        unit="µs",
        peer=NGINX,
        core=3.2,
        fast=2.0,
    ),
    Target(
        key="req_s_vs_chp",
        what="small GET, requests",
        figure="req_s",
        unit="/s",
        peer=CHP,
        core=2.5,
        fast=4,
        at_least=True,
    ),
    Target(key="p99_vs_chp", what="p99 at 64 connections", figure="p99_ms", unit="ms", peer=CHP, core=0.4, fast=0.25),
    Target(
        key="churn_vs_chp",
        what="a connection for each request",
        figure="churn_s",
        unit="/s",
        peer=CHP,
        core=2.5,
        fast=4.5,
        at_least=True,
    ),
    Target(
        key="download_vs_nginx",
        what="download, CPU",
        figure="down_cpu_s_gb",
        unit="s/GB",
        peer=NGINX,
        core=1.0,
        fast=0.8,
    ),
    Target(
        key="upload_length_vs_nginx",
        what="upload with a length, CPU",
        figure="up_length_cpu_s_gb",
        unit="s/GB",
        peer=NGINX,
        core=1.6,
        fast=1.1,
    ),
    Target(
        key="upload_chunked_vs_nginx",
        what="upload in chunks, CPU",
        figure="up_chunked_cpu_s_gb",
        unit="s/GB",
        peer=NGINX,
        core=3.2,
        fast=1.4,
    ),
    Target(
        key="websocket_cpu_vs_nginx",
        what="WebSocket message of 125 B and its echo, CPU",
        figure="ws_cpu_us",
        unit="µs",
        peer=NGINX,
        core=1.4,
        fast=1.4,
    ),
    Target(
        key="idle_ws_rss_vs_chp",
        what="idle WebSocket, memory",
        figure="ws_idle_kb",
        unit="KB",
        peer=CHP,
        core=0.8,
        fast=0.35,
    ),
    Target(
        key="sse_delay_vs_nginx",
        what="server-sent event, written to read (median)",
        figure="sse_p50_us",
        unit="µs",
        peer=NGINX,
        core=1.15,
        fast=1.1,
    ),
    Target(
        key="stalled_reader_growth_mb",
        what="memory growth, stalled 1 GiB reader or upstream",
        figure="stalled_mb",
        unit="MB",
        peer=None,
        core=8,
        fast=4,
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target held against what was measured. Values are None where nothing was."""

    ours: float | None
    peer: float | None
    ratio: float | None
    """Median of the rounds' ratios. Without a peer it is our figure itself."""
    must: float
    holds: bool


def judge(target: Target, lane: Lane, rounds: Rounds, *, must_of: Lane | None = None) -> Verdict:
    """Does `lane` keep `target`, or what `must_of` has to keep? What was not measured does not hold."""
    must = target.must(must_of or lane)
    ours, peer = rounds.median(target.figure, lane.system), None
    ratio = ours
    if target.peer is not None:
        peer = rounds.median(target.figure, target.peer)
        ratio = rounds.ratio(target.figure, lane.system, target.peer)
    if ratio is None:
        return Verdict(ours, peer, None, must, holds=False)
    return Verdict(ours, peer, ratio, must, holds=ratio >= must if target.at_least else ratio <= must)


def summary(lane: Lane, rounds: Rounds) -> dict[str, dict[str, float | bool | None]]:
    """What `make bench-quick` prints: `lane` as measured, held against what the fast lane must reach."""
    found: dict[str, dict[str, float | bool | None]] = {}
    for target in TARGETS:
        verdict = judge(target, lane, rounds, must_of=Lane.FAST)
        found[target.key] = {
            "ours": _four(verdict.ours),
            "peer": _four(verdict.peer),
            "ratio": _four(verdict.ratio),
            "must": verdict.must,
            "holds": verdict.holds,
        }
    return found


def _four(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
