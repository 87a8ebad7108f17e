"""The result as tables: on the screen, and in docs/reliability.md between the marks that are this command's."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from tests.chaos.run import Result
from tests.chaos.waves import Outcome

BROKEN: Final = 0
"""Not an answer: the connection ended without one."""


def written(result: Result, *, day: str) -> str:
    """Everything for the page, in Markdown."""
    return "\n".join([_summary(result, day), _waves(result.waves), _drills(result.drills), _findings(result)])


def _summary(result: Result, day: str) -> str:
    served = sum(outcome.served for outcome in (*result.waves, *result.drills))
    return (
        f"Run of {day}, seed {result.seed}: {result.people} people, {served} of them served to the end;"
        f" {result.deaths} gateways died and were started again; {result.audit_rows} rows of the audit log verified;"
        f" {len(result.findings)} findings; {result.took_s / 60:.1f} minutes.\n"
    )


def _waves(waves: Sequence[Outcome]) -> str:
    head = ("trouble", "people", "struck", "served", "answers other than 200", "longest wait, median", "worst")
    return _table(
        head,
        (
            (
                wave.name,
                str(wave.people),
                str(wave.struck),
                str(wave.served),
                _answers(wave),
                f"{median(wave.longest_s):.1f} s",
                f"{max(wave.longest_s):.1f} s",
            )
            for wave in waves
        ),
    )


def _drills(drills: Sequence[Outcome]) -> str:
    head = ("killed at", "died", "served", "answers other than 200", "longest wait")
    return _table(
        head,
        (
            (
                f"`{drill.name}`",
                "yes" if drill.struck else "**no**",
                "yes" if drill.served else "**no**",
                _answers(drill),
                f"{max(drill.longest_s):.1f} s",
            )
            for drill in sorted(drills, key=lambda drill: drill.name)
        ),
    )


def _answers(outcome: Outcome) -> str:
    told = [
        f"{number} × {'no answer' if status == BROKEN else status}"
        for status, number in sorted(outcome.answers.items())
        if status != 200
    ]
    return ", ".join(told) or "–"


def _findings(result: Result) -> str:
    return "".join(f"- {finding}\n" for finding in result.findings)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
