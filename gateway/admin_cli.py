"""`my-jarvis admin …`: the audit log, read straight from the database, and operators, through the admin API."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import click
import httpx

from gateway.admin.contract import aware
from gateway.admin.shown import EntryShown
from provisioner.audit import Broken, Entry, Head
from provisioner.instance import UserId
from provisioner.operators import Role
from provisioner.store import audit as records
from provisioner.store.database import connect

T = TypeVar("T")


@click.group()
def admin() -> None:
    """What an operator may want to know and do."""


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


@admin.group()
@click.option("--url", envvar="ADMIN_URL", default="http://127.0.0.1:9090", show_default=True, help="[ADMIN_URL]")
@click.option("--token", envvar="ADMIN_TOKEN", required=True, help="An owner's. [ADMIN_TOKEN]")
@click.pass_context
def operators(context: click.Context, url: str, token: str) -> None:
    """Who may use the admin API."""
    headers = {"Authorization": f"Bearer {token}"}
    context.obj = context.with_resource(httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False))


@operators.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.VIEWER.value, show_default=True)
@click.pass_obj
def add(http: httpx.Client, name: str, role: str) -> None:
    """Make a token for NAME and print it, once."""
    click.echo(_asked(http, "POST", "/v1/operators", {"name": name, "role": role})["token"])


@operators.command(name="list")
@click.pass_obj
def list_operators(http: httpx.Client) -> None:
    """Everybody who has or had a token."""
    for each in _asked(http, "GET", "/v1/operators")["operators"]:
        ended = f"revoked {each['revoked_at']}" if each["revoked_at"] else f"last used {each['last_used_at']}"
        click.echo(f"{each['name']:<24} {each['role']:<10} {ended}")


@operators.command()
@click.argument("name")
@click.pass_obj
def revoke(http: httpx.Client, name: str) -> None:
    """NAME's token opens nothing from now on."""
    _asked(http, "DELETE", f"/v1/operators/{name}")


def _asked(http: httpx.Client, method: str, path: str, body: dict[str, str] | None = None) -> Any:
    try:
        answer = http.request(method, path, json=body)
    except httpx.HTTPError as fault:
        raise click.ClickException(f"{http.base_url} does not answer: {fault}") from None
    if answer.is_error:
        told = answer.json() if answer.headers.get("Content-Type") == "application/problem+json" else {}
        raise click.ClickException(f"{answer.status_code} {told.get('title', '')}: {told.get('detail', '')}")
    return answer.json()


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
