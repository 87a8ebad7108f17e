"""`my-jarvis admin visits …`: opening a user's Machine, in front of the user's eyes."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from gateway.operate.asking import Api, api, as_json, tell
from gateway.operate.tables import ago, show


@click.group()
def visits() -> None:
    """Operators at users' Machines. The user sees each visit, and may end it."""


@visits.command(name="list")
@click.option("--user", "who", help="Only visits to WHO: a user id, or what finds exactly one Instance.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="The latest so many.")
@as_json
@api
def list_visits(api: Api, who: str | None, limit: int, as_json: bool) -> None:
    """The latest first."""
    user = None if who is None else api.who(who)
    found = api.ask("GET", "/v1/visits", user=user, limit=limit)["visits"]
    if as_json:
        tell(found)
        return
    show(
        ("asked for", "by", "why", "how it stands", "visit", "user id"),
        [(ago(v["granted_at"]), v["operator"], v["reason"], _stands(v), v["id"], v["user_id"]) for v in found],
        empty="nobody so far",
    )


@visits.command()
@click.argument("who")
@click.option("--why", required=True, help="Ten characters at least. The user reads it.")
@click.option("--minutes", type=click.IntRange(1, 60), default=15, show_default=True, help="From the opening on.")
@as_json
@api
def grant(api: Api, who: str, why: str, minutes: int, as_json: bool) -> None:
    """Print a link that opens WHO's Machine once, within five minutes."""
    body = {"reason": why, "minutes": minutes}
    told = api.ask("POST", f"/v1/instances/{api.who(who)}/visit", body=body)
    if as_json:
        tell(told)
        return
    click.echo(told["url"])


@visits.command()
@click.argument("visit", type=click.UUID)
@as_json
@api
def end(api: Api, visit: UUID, as_json: bool) -> None:
    """End VISIT, or call it off: what it opened is cut."""
    told = api.ask("DELETE", f"/v1/visits/{visit}")
    if as_json:
        tell(told)
        return
    click.echo(f"the visit of {told['operator']} has ended")


def _stands(visit: dict[str, Any]) -> str:
    if visit["ended_at"] is not None:
        return f"ended {ago(visit['ended_at'])} ago by {visit['ended_by']}"
    until = visit["expires_at"] or visit["open_until"]
    if datetime.fromisoformat(until) <= datetime.now(UTC):
        return "over"
    return f"going on, ends {ago(until)}" if visit["opened_at"] else f"not opened yet, {ago(until)} at most"
