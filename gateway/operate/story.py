"""`my-jarvis admin timeline` and `extend`: the story of one Instance, and a say in it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from gateway.operate.asking import Api, api, as_json, tell
from gateway.operate.instances import show_events
from gateway.operate.tables import ago, show


@click.command()
@click.argument("who")
@click.option("--limit", type=click.IntRange(1, 250), default=50, show_default=True)
@click.option("--rows", is_flag=True, help="The rows of the audit log instead, also of an Instance that is gone.")
@as_json
@api
def timeline(api: Api, who: str, limit: int, rows: bool, as_json: bool) -> None:
    """What happened to WHO and what comes next; newest last, but newest first in JSON without --rows."""
    user_id = api.who(who)
    if rows:
        found = list(api.pages("/v1/audit", "entries", cursor="before", most=limit, user=user_id))[::-1]
        tell(found) if as_json else show_events(found)
        return
    story = api.ask("GET", f"/v1/instances/{user_id}/story", limit=limit)
    if as_json:
        tell(story)
        return
    show(
        ("when", "what", "", "until"),
        [(m["at"][:19], m["kind"], m["text"], (m["until"] or "")[:19]) for m in reversed(story["moments"])],
    )
    for line in _outlook(story["outlook"]):
        click.echo(line)


@click.command()
@click.argument("who")
@click.option("--for", "minutes", type=click.IntRange(0, 525_600), required=True, help="Minutes from now; 0 ends it.")
@as_json
@api
def extend(api: Api, who: str, minutes: int, as_json: bool) -> None:
    """Leave WHO awake for a while, however quiet. Who sleeps stays asleep."""
    until = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    told = api.ask("POST", f"/v1/instances/{api.who(who)}/extend", body={"until": until})
    if as_json:
        tell(told)
    else:
        click.echo(f"awake until {told['holds_until'][:19]}" if minutes else "may sleep when it is quiet")


def _outlook(seen: dict[str, Any]) -> list[str]:
    """What comes next, in lines."""
    told = [f"now {seen['state']}"]
    for name, words in (("sleeps_at", "due to sleep"), ("stops_at", "its memory is given up")):
        if seen[name]:
            told.append(f"{words} at {seen[name][:19]} ({ago(seen[name])})")
    if seen["kept_awake_by"]:
        told.append(f"kept awake by {seen['kept_awake_by']}")
    if seen["keep_awake_until"]:
        told.append(f"to be kept awake until {seen['keep_awake_until'][:19]}")
    if seen["flapping"]:
        told.append(
            f"{seen['flapping']['naps']} short sleeps lately: left awake {seen['flapping']['factor']} times longer"
        )
    return told
