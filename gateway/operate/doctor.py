"""`my-jarvis doctor`: what the gateway would stand on with these settings, before it is started or while it runs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

import click

from gateway.checkup.checks import check_all
from gateway.checkup.finding import Finding, bad
from gateway.operate.asking import tell
from gateway.settings import BadSettings, read_settings
from provisioner.clock import SystemClock

MARKS: Final = {"good": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}


def examine(
    environment: Mapping[str, str],
    connect: Callable[[str], AbstractAsyncContextManager[Any]],
    versions: Sequence[str],
) -> Sequence[Finding]:
    """Every finding. Settings that cannot be used are findings, one each, and then the last ones."""
    try:
        settings = read_settings(environment)
    except BadSettings as problems:
        return [bad("SET1", line) for line in str(problems).splitlines()]
    dsn = settings.database_url.get_secret_value()
    return asyncio.run(check_all(settings, SystemClock(), partial(connect, dsn), versions))


def report(findings: Sequence[Finding], *, as_json: bool) -> int:
    """Say them; the exit code: 1 if anything is broken, else 0."""
    if as_json:
        tell(
            [
                {"code": f.code, "level": f.level, "title": f.title, "told": f.told, "fix": f.fix, "doc": f.doc}
                for f in findings
            ]
        )
    else:
        for finding in findings:
            mark, colour = MARKS[finding.level]
            click.echo(f"{click.style(mark, fg=colour)} {finding.code:<6} {finding.title}: {finding.told}")
            if finding.level != "good":
                click.echo(f"         cause  {finding.cause}")
                click.echo(f"         check  {finding.check}")
                click.echo(f"         fix    {finding.fix}  ({finding.doc})")
    return 1 if any(finding.level == "bad" for finding in findings) else 0
