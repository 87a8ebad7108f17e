"""`my-jarvis admin …`: the admin API as commands; and the audit log, read straight from the database."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import click

from gateway.admin.contract import aware
from gateway.admin.shown import EntryShown
from gateway.operate.asking import Api, address, token
from gateway.operate.commands import COMMANDS
from provisioner.audit import Broken, Entry, Head
from provisioner.instance import UserId
from provisioner.store import audit as records
from provisioner.store.database import connect

T = TypeVar("T")


@click.group()
@address
@token
@click.pass_context
def admin(context: click.Context, url: str, token: str | None) -> None:
    """What an operator may want to know and do.

    Everything but `audit` asks the admin API at ADMIN_URL with ADMIN_TOKEN. Exit codes: 0 done, 1 refused or failed, 2
    not understood, 3 the gateway does not answer.
    """
    context.obj = Api(url, token)


for command in COMMANDS:
    admin.add_command(command)


@admin.group()
def audit() -> None:
    """Everything that was done, and by whom."""


database = click.option(
    "--database-url", envvar="DATABASE_URL", required=True, help="Any role that may read the log. [DATABASE_URL]"
)


def _head(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[Head]:
    heads = []
    for text in texts:
        id, _colon, hash = text.partition(":")
        try:
            heads.append(Head(int(id), bytes.fromhex(hash)))
        except ValueError:
            raise click.BadParameter(f"{text}: has to be as `verify` prints it, <row>:<hash>") from None
    return heads


def _instant(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    try:
        return None if text is None else aware(text if "T" in text else text + "T00:00:00+00:00")
    except ValueError:
        raise click.BadParameter("a day such as 2026-11-23, or an ISO 8601 instant with its time zone") from None


@audit.command()
@database
@click.option("--noted", multiple=True, callback=_head, help="<row>:<hash> that an earlier run printed; any number.")
def verify(database_url: str, noted: list[Head]) -> None:
    """Walk along the chain of hashes; exit code 1 and the first row that is wrong if it does not hold.

    Keep the printed head somewhere else and give it as --noted later: so even the database's owner cannot rewrite what
    came before unnoticed.
    """
    try:
        head = _with_database(database_url, lambda pool: records.verify(pool, known=noted))
    except Broken as broken:
        raise click.ClickException(f"the audit log does not hold: {broken}") from None
    click.echo(f"the audit log holds; its head is {head.id}:{head.hash.hex()}")


@audit.command(name="list")
@database
@click.option("--user", type=click.UUID, help="Only what is about this user.")
@click.option("--since", callback=_instant, help="Only from this day or instant on.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_audit(database_url: str, user: UUID | None, since: datetime | None, limit: int, as_json: bool) -> None:
    """The newest rows, oldest of them first."""
    user_id = None if user is None else UserId(user)
    rows = _with_database(database_url, lambda pool: records.latest(pool, user_id=user_id, since=since, limit=limit))
    for entry in reversed(rows):
        click.echo(EntryShown.of(entry).model_dump_json() if as_json else _line(entry))


def _with_database(url: str, ask: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with connect(url, max_size=1, command_timeout=300) as pool:
            return await ask(pool)

    try:
        return asyncio.run(run())
    except (OSError, asyncpg.PostgresError) as fault:
        raise click.ClickException(f"the database: {fault}") from None


def _line(entry: Entry) -> str:
    step = f" {entry.from_state or ''}→{entry.to_state}" if entry.to_state else ""
    detail = "" if entry.detail == "{}" else f" {entry.detail}"
    at = entry.at.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
    return f"{entry.id:>8} {at} {entry.actor} {entry.action} {entry.user_id or '-'}{step}{detail}"
