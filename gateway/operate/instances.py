"""Commands about Instances: find, look at, move, follow."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.operate.asking import Api, Unreachable, api, as_json, tell
from gateway.operate.tables import ago, show

AT_ONCE: Final = 4


@click.group()
def instances() -> None:
    """Find and look at Instances."""


@instances.command(name="list")
@click.option("--state", help="Only those in this state.")
@click.option("--region", help="Only those in this region.")
@click.option("-q", "--query", help="Part of the address, the beginning of the user id, or a Machine's id.")
@click.option("--sort", default="last_active", show_default=True, help="user_id, email, state, region, last_active, …")
@click.option("--desc/--asc", default=True, show_default=True)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@as_json
@api
def list_instances(
    api: Api, state: str | None, region: str | None, query: str | None, sort: str, desc: bool, limit: int, as_json: bool
) -> None:
    """Instances, those that were active last first."""
    found = list(
        api.pages("/v1/instances", "instances", most=limit, state=state, region=region, q=query, sort=sort, desc=desc)
    )
    if as_json:
        tell(found)
        return
    show(
        ("who", "state", "since", "last active", "region", "Machine", "user id"),
        [
            (
                i["email"],
                i["state"],
                ago(i["state_since"]),
                ago(i["last_active"]),
                i["region"],
                i["machine_id"],
                i["user_id"],
            )
            for i in found
        ],
        empty="nobody",
    )


@instances.command(name="show")
@click.argument("who")
@as_json
@api
def show_instance(api: Api, who: str, as_json: bool) -> None:
    """WHO (a user id, or what finds one Instance) as the database, the replicas and Fly have it."""
    seen = api.ask("GET", f"/v1/instances/{api.who(who)}/truths")
    if as_json:
        tell(seen)
        return
    record, machine, lease = seen["record"], seen["machine"] or {}, seen["lease"]
    rows = [
        (name, record.get(name), machine.get("id" if name == "machine_id" else name))
        for name in ("state", "machine_id", "volume_id", "private_ip", "region", "image")
    ]
    show((record["email"], "database", "Fly"), rows)
    click.echo(f"last active {ago(record['last_active'])} ago, in this state for {ago(record['state_since'])}")
    if lease:
        click.echo(f"worked on by {lease['owner']}")
    for line in [*seen["differ"], *(filter(None, (seen["fly_error"], record["error"])))]:
        click.echo(click.style(line, fg="red"))


def moving(name: str, action: str, words: str) -> click.Command:
    @click.command(name=name, help=words)
    @click.argument("who", nargs=-1, required=True)
    @as_json
    @api
    def move(api: Api, who: tuple[str, ...], as_json: bool) -> None:
        _each(api, who, action, as_json=as_json)

    command: click.Command = move
    return command


def _each(api: Api, who: Sequence[str], action: str, *, as_json: bool) -> None:
    """The same order for each, a few at a time, with a bar; exit code 1 if any was refused."""

    def order(one: str) -> dict[str, Any]:
        try:
            user_id = api.who(one)
            if action == "destroy":
                api.ask("DELETE", f"/v1/instances/{user_id}")
                return {"user_id": user_id, "state": "gone"}
            told = api.ask("POST", f"/v1/instances/{user_id}/{action}")
            return {"user_id": user_id, "email": told["email"], "state": told["state"]}
        except Unreachable:
            raise
        except click.ClickException as refused:
            return {"user_id": one, "error": refused.message}

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar, ThreadPoolExecutor(AT_ONCE) as pool:
        task = bar.add_task(action, total=len(who))
        done = []
        for result in pool.map(order, who):
            done.append(result)
            bar.advance(task)
    if as_json:
        tell(done)
    else:
        show(("who", "now"), [(r.get("email") or r["user_id"], r.get("state") or r["error"]) for r in done])
    if any("error" in each for each in done):
        raise SystemExit(1)


@click.command()
@click.argument("who", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@api
def destroy(api: Api, who: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """End Machine, volume with all data, and row. There is no way back but Fly's snapshots."""
    if not yes:
        click.confirm(f"This ends Machine, volume and row of {', '.join(who)}. Go on?", abort=True, err=True)
    _each(api, who, "destroy", as_json=as_json)


@click.command()
@click.option("--user", help="Only what is about this user.")
@click.option("--after", type=int, help="Begin behind this row of the audit log.")
@as_json
@api
def logs(api: Api, user: str | None, after: int | None, as_json: bool) -> None:
    """Follow what happens, until Ctrl-C. With --json one object a line."""
    user_id = None if user is None else api.who(user)
    try:
        for entry in api.follow(user=user_id, after=after):
            if as_json:
                click.echo(json.dumps(entry, ensure_ascii=False))
            else:
                step = f" {entry['from_state'] or ''}→{entry['to_state']}" if entry["to_state"] else ""
                click.echo(f"{entry['at'][:19]} {entry['action']}{step} {entry['user_id'] or ''} by {entry['actor']}")
    except httpx.HTTPError as fault:
        raise Unreachable(f"the stream was cut: {type(fault).__name__}") from None


def show_events(entries: Sequence[dict[str, Any]]) -> None:
    """Rows of the audit log as a table."""
    show(
        ("when", "what", "from", "to", "by", "detail"),
        [
            (
                e["at"][:19],
                e["action"],
                e["from_state"],
                e["to_state"],
                e["actor"],
                json.dumps(e["detail"]) if e["detail"] else "",
            )
            for e in entries
        ],
    )
