"""Commands about people: who may come in, and who may operate."""

import click

from gateway.operate.asking import Api, api, as_json, tell
from gateway.operate.tables import ago, show
from provisioner.operators import Role


@click.group()
def signups() -> None:
    """Who asked to come in."""


@signups.command(name="list")
@click.option("--status", help="waiting, admitted, refused or suspended.")
@as_json
@api
def list_signups(api: Api, status: str | None, as_json: bool) -> None:
    """First come first."""
    found = list(api.pages("/v1/signups", "signups", status=status))
    if as_json:
        tell(found)
        return
    show(
        ("who", "standing", "asked", "decided by", "user id"),
        [(s["email"], s["status"], ago(s["created_at"]), s["decided_by"], s["user_id"]) for s in found],
        empty="nobody",
    )


def _deciding(verdict: str, words: str) -> None:
    @signups.command(name=verdict, help=words)
    @click.argument("user_id", type=click.UUID)
    @api
    def decide(api: Api, user_id: object) -> None:
        told = api.ask("POST", f"/v1/signups/{user_id}/{verdict}")
        click.echo(f"{told['email']} is {told['status']}")


_deciding("admit", "Let them in, also back in.")
_deciding("refuse", "Keep out who waits.")
_deciding("suspend", "Throw out who is in: sessions and tokens end, Machine and data stay.")


@click.group()
def operators() -> None:
    """Who may use the admin API."""


@operators.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.VIEWER.value, show_default=True)
@api
def add(api: Api, name: str, role: str) -> None:
    """Make a token for NAME and print it, once."""
    click.echo(api.ask("POST", "/v1/operators", body={"name": name, "role": role})["token"])


@operators.command(name="list")
@as_json
@api
def list_operators(api: Api, as_json: bool) -> None:
    """Everybody who has or had a token."""
    found = api.ask("GET", "/v1/operators")["operators"]
    if as_json:
        tell(found)
        return
    show(
        ("name", "role", "last used", "revoked"),
        [
            (o["name"], o["role"], ago(o["last_used_at"]), ago(o["revoked_at"]) + " ago" if o["revoked_at"] else "")
            for o in found
        ],
        empty="nobody but ADMIN_TOKEN",
    )


@operators.command()
@click.argument("name")
@api
def revoke(api: Api, name: str) -> None:
    """NAME's token opens nothing from now on."""
    api.ask("DELETE", f"/v1/operators/{name}")
