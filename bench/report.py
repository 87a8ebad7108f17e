"""docs/performance.md out of a run's result and bench/report.md: values in, text out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bench.figures import Rounds, spread, written
from bench.guard import guard_table
from bench.profile import Profile
from bench.targets import NGINX, TARGETS, Lane, judge

TEMPLATE: Final = Path(__file__).with_name("report.md")
BEGIN_NOTES: Final = "<!-- notes: kept when this file is written anew -->"
END_NOTES: Final = "<!-- end of notes -->"
_COLUMNS: Final = (
    ("GET CPU µs", "get_cpu_us"),
    ("GET /s", "req_s"),
    ("p99 ms", "p99_ms"),
    ("churn /s", "churn_s"),
    ("down CPU s/GB", "down_cpu_s_gb"),
    ("up CPU s/GB", "up_length_cpu_s_gb"),
    ("up chunked", "up_chunked_cpu_s_gb"),
    ("WS CPU µs", "ws_cpu_us"),
    ("idle WS KB", "ws_idle_kb"),
    ("event µs", "sse_p50_us"),
    ("stalled MB", "stalled_mb"),
    ("RSS MB", "rss_mb"),
)
_PROFILE_ROWS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """When and on what."""

    day: str
    machine: Mapping[str, str]
    """Facts by name, in the order to show: cores, kernel, Python, …"""
    versions: Mapping[str, str]
    """Of the peers, by their name among the systems."""
    rounds: int
    load_before: float
    """Others' load average when the run began: 0 is a machine of our own."""
    took_s: float
    troubles: Sequence[str]
    pieces: int = 1
    """Runs that this was put together from."""


def written_report(
    rounds: Rounds,
    lanes: Sequence[Lane],
    about: Circumstances,
    profiles: Mapping[Lane, Profile],
    notes: str,
    guard: Mapping[str, float] = MappingProxyType({}),
) -> str:
    """The whole document; `notes` is what people wrote into the one before."""
    document = TEMPLATE.read_text()
    for place, lines in {
        "CIRCUMSTANCES": _circumstances(rounds, about),
        "TARGETS": _targets(rounds, lanes),
        "EVERYBODY": _everybody(rounds, about.versions),
        "GUARD": guard_table(dict(guard)),
        "PROFILES": _profiles(profiles),
        "NOTES": [BEGIN_NOTES, notes.strip(), END_NOTES],
    }.items():
        document = document.replace(f"@{place}@", "\n".join(lines).strip())
    return document


def notes_of(document: str) -> str:
    """What stands between the markers of an earlier document."""
    return document.partition(BEGIN_NOTES)[2].partition(END_NOTES)[0].strip()


def _circumstances(rounds: Rounds, about: Circumstances) -> list[str]:
    facts = [f"{name} {value}" for name, value in about.machine.items()]
    lines = [f"Measured {about.day} in {about.took_s / 60:.0f} min, {about.rounds} rounds, on {', '.join(facts)}."]
    if about.pieces > 1:
        lines.append(f"Put together from {about.pieces} runs; ratios are of figures of the same run.")
    lines.append(
        f"Load average before it began: {about.load_before:.1f}. nginx's own turns disagreed by"
        f" {spread(rounds.of('get_cpu_us', NGINX)):.0%} in CPU per request and by"
        f" {spread(rounds.of('req_s', NGINX)):.0%} in requests per second."
    )
    if about.load_before > 0.5:
        lines.append("**Others used this machine at the time: trust the ratios, not the figures.**")
    lines += [f"- went wrong: {trouble}" for trouble in about.troubles]
    return lines


def _targets(rounds: Rounds, lanes: Sequence[Lane]) -> list[str]:
    head, rule = "| what | peer | unit | peer's |", "|---|---|---|---:|"
    for lane in lanes:
        head += f" {lane} | ÷ | must | holds |"
        rule += "---:|---:|---:|---|"
    rows = [head, rule]
    for target in TARGETS:
        verdicts = [judge(target, lane, rounds) for lane in lanes]
        row = f"| {target.what} | {target.peer or '–'} | {target.unit} | {written(verdicts[0].peer)} |"
        for verdict in verdicts:
            must = f"{'≥' if target.at_least else '≤'} {verdict.must:g}"
            holds = "yes" if verdict.holds else "**no**"
            row += f" {written(verdict.ours)} | {written(verdict.ratio)} | {must} | {holds} |"
        rows.append(row)
    return rows


def _everybody(rounds: Rounds, versions: Mapping[str, str]) -> list[str]:
    names = [name for name, _ in _COLUMNS]
    rows = ["| system | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for system in rounds.systems():
        cells = [written(rounds.median(figure, system)) for _, figure in _COLUMNS]
        rows.append(f"| {system} {versions.get(system, '')}".rstrip() + " | " + " | ".join(cells) + " |")
    return rows


def _profiles(profiles: Mapping[Lane, Profile]) -> list[str]:
    lines: list[str] = []
    for lane, profile in profiles.items():
        lines += [f"### {lane}", "", "| own | with callees | function |", "|---:|---:|---|"]
        lines += [f"| {s.own:.1%} | {s.total:.1%} | `{s.function}` |" for s in profile.shares[:_PROFILE_ROWS]]
        lines += [
            "",
            "By room: " + ", ".join(f"{room} {part:.0%}" for room, part in profile.rooms if part >= 0.01) + ".",
        ]
        if profile.libraries:
            found = ", ".join(f"{name} {part:.0%}" for name, part in profile.libraries if part >= 0.01)
            lines += ["", f"By library, as perf saw it: {found}."]
        lines.append("")
    return lines
