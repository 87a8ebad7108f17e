"""`my-jarvis admin rollout …`: a new golden image for everybody."""

from typing import Any

import click

from gateway.operate.asking import Api, api, as_json, tell
from gateway.operate.tables import ago, show


@click.group()
def rollout() -> None:
    """Bring a new golden image to everybody, a share at a time."""


@rollout.command()
@click.argument("image")
@click.option("--step", "steps", type=click.IntRange(1, 100), multiple=True, help="A percentage; once for each step.")
@click.option("--tolerance", type=click.FloatRange(0, 1), help="The share of failures beyond which it halts.")
@click.option("--soak", "soak_s", type=click.FloatRange(0), help="Seconds that a step lasts at least.")
@click.option("--hurry", is_flag=True, help="Move suspended Machines too; they lose their memory, not their disk.")
@as_json
@api
def start(
    api: Api,
    image: str,
    steps: tuple[int, ...],
    tolerance: float | None,
    soak_s: float | None,
    hurry: bool,
    as_json: bool,
) -> None:
    """Begin to bring IMAGE to everybody."""
    asked = {"image": image, "steps": list(steps) or None, "tolerance": tolerance, "soak_s": soak_s, "hurry": hurry}
    body = {name: value for name, value in asked.items() if value is not None}
    _tell(api.ask("POST", "/v1/rollout", body=body), as_json=as_json)


@rollout.command()
@as_json
@api
def status(api: Api, as_json: bool) -> None:
    """The newest rollout, and how it goes."""
    found = api.ask("GET", "/v1/rollout")
    if as_json:
        tell(found)
        return
    if found["rollout"] is None:
        click.echo("there never was a rollout")
        return
    _tell(found["rollout"], as_json=False)
    tally = found["tally"]
    show(("came up", "failed", "moved", "may move", "left"), [[tally[n] for n in _TALLY]])


_TALLY = ("ready", "failed", "moved", "cohort", "left")


def _ordering(name: str, words: str) -> None:
    @rollout.command(name=name, help=words)
    @as_json
    @api
    def order(api: Api, as_json: bool) -> None:
        _tell(api.ask("POST", f"/v1/rollout/{name}"), as_json=as_json)


_ordering("pause", "Move nobody any more; who was moved stays.")
_ordering("resume", "Go on with a paused or halted one.")
_ordering("back", "Everybody returns to the image they had, each when they sleep.")


def _tell(found: Any, *, as_json: bool) -> None:
    if as_json:
        tell(found)
        return
    why = f": {found['why']}" if found["why"] else ""
    click.echo(f"{found['image']} is {found['state']} at {found['percent']} % since {ago(found['state_since'])}{why}")
