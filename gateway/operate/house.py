"""Commands about the house: how it stands, what needs somebody, queue, plans, costs, switches."""

import click

from gateway.operate.asking import Api, api, as_json, tell
from gateway.operate.tables import ago, show
from provisioner.switches import Switch


@click.group()
def queue() -> None:
    """Provisionings that failed."""


@queue.command(name="list")
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@as_json
@api
def list_queue(api: Api, dead: bool, as_json: bool) -> None:
    """Who waits for the next attempt, and who was given up."""
    found = list(api.pages("/v1/queue", "queue", dead=True if dead else None))
    if as_json:
        tell(found)
        return
    show(
        ("who", "place", "attempts", "next", "cause", "user id"),
        [
            (
                e["email"],
                "dead" if e["dead"] else e["place"],
                e["attempts"],
                ago(e["next_retry_at"]),
                e["cause"],
                e["user_id"],
            )
            for e in found
        ],
        empty="the queue is empty",
    )


@queue.command()
@click.argument("who")
@api
def retry(api: Api, who: str) -> None:
    """Begin the next attempt of WHO now."""
    click.echo(f"begun for {api.ask('POST', f'/v1/queue/{api.who(who)}/retry')['email']}")


@queue.command()
@click.argument("who")
@api
def drop(api: Api, who: str) -> None:
    """Nobody tries WHO any more until they come again."""
    api.ask("DELETE", f"/v1/queue/{api.who(who)}")


@queue.command()
@click.argument("who")
@click.option("--at", required=True, help="When to try next: ISO 8601 with its time zone.")
@api
def edit(api: Api, who: str, at: str) -> None:
    """Try WHO next at another time."""
    told = api.ask("PATCH", f"/v1/queue/{api.who(who)}", body={"at": at})
    click.echo(f"{told['email']} is tried next {ago(told['next_retry_at'])}")


@click.command()
@click.argument("who", required=False)
@click.argument("name", required=False)
@as_json
@api
def plan(api: Api, who: str | None, name: str | None, as_json: bool) -> None:
    """All plans; or give WHO the plan NAME."""
    if who is None:
        found = api.ask("GET", "/v1/plans")["plans"]
        if as_json:
            tell(found)
            return
        show(
            ("plan", "$/month", "CPUs", "memory MB", "disk GB", "sleeps after s"),
            [
                (p["name"], p["usd_per_month"], p["cpus"], p["memory_mb"], p["volume_gb"], p["suspend_after_s"])
                for p in found
            ],
        )
        return
    if name is None:
        raise click.UsageError("give WHO and the plan's NAME")
    told = api.ask("PUT", f"/v1/users/{api.who(who)}/plan", body={"plan": name})
    if as_json:
        tell(told)
        return
    click.echo(f"{told['before']['name']} → {told['now']['name']}")


@click.command()
@as_json
@api
def pool(api: Api, as_json: bool) -> None:
    """Spare Machines, made ahead of first visits."""
    seen = api.ask("GET", "/v1/pool")
    if as_json:
        tell(seen)
        return
    show(("spares", "number"), sorted(seen["states"].items()), empty="no spares")
    click.echo(
        f"{seen['target']} wanted, {seen['arrivals_per_hour']} arrivals an hour, ${seen['usd_per_month']} a month"
    )


@click.command()
@as_json
@api
def costs(api: Api, as_json: bool) -> None:
    """What today costs so far: an estimate from Fly's prices."""
    today = api.ask("GET", "/v1/overview")["today"]
    if as_json:
        tell(today)
        return
    rows = [(name, f"${today[name]:.3f}") for name in ("awake", "asleep", "volume", "total")]
    show(("since midnight UTC", "US dollars"), rows)
    click.echo(f"{today['awake_hours']:.1f} hours awake, {today['users']} users")


@click.command()
@as_json
@api
def overview(api: Api, as_json: bool) -> None:
    """How things stand."""
    seen = api.ask("GET", "/v1/overview")
    if as_json:
        tell(seen)
        return
    show(("state", "Instances"), sorted(seen["states"].items()), empty="no Instances")
    click.echo(f"{seen['users_now']} users now; {seen['queue']['waiting']} wait, {seen['queue']['dead']} given up")
    show(
        ("path", "runs in 24 h", "p50 s", "p95 s", "p99 s", "target s"),
        [
            (r["path"], r["n"], f"{r['p50']:.2f}", f"{r['p95']:.2f}", f"{r['p99']:.2f}", r["target_s"])
            for r in seen["runs"]
        ],
        empty="nobody was brought up in 24 hours",
    )


@click.command()
@as_json
@api
def needs(api: Api, as_json: bool) -> None:
    """What needs somebody. Exit code 1 if anything does."""
    found = api.ask("GET", "/v1/needs")["needs"]
    if as_json:
        tell(found)
    else:
        show(
            ("what", "who", "since", "$/day", "cause", "fix"),
            [
                (
                    n["title"],
                    n["email"],
                    ago(n["since"]),
                    "" if n["usd_per_day"] is None else f"{n['usd_per_day']:.2f}",
                    n["cause"],
                    f"{n['fix']['method']} {n['fix']['path']}" if n["fix"] else "",
                )
                for n in found
            ],
            empty="nothing needs you",
        )
    if found:
        raise SystemExit(1)


@click.command()
@as_json
@api
def findings(api: Api, as_json: bool) -> None:
    """Orphans at Fly and other differences from the records, the dearest first."""
    found = api.ask("GET", "/v1/findings")["findings"]
    if as_json:
        tell(found)
        return
    show(
        ("what", "resource", "app", "since", "seen", "$/month", "outcome"),
        [
            (
                each["what"],
                each["resource"],
                each["app"],
                ago(each["first_at"]),
                each["times"],
                f"{each['usd_per_month']:.2f}",
                each["outcome"] or "watched",
            )
            for each in found
        ],
        empty="everything at Fly is as recorded",
    )


@click.command()
@as_json
@api
def replicas(api: Api, as_json: bool) -> None:
    """Gateway processes, and background work that has ended."""
    found = api.ask("GET", "/v1/replicas")["replicas"]
    if as_json:
        tell(found)
        return
    show(
        ("replica", "version", "up", "seen", "ended loops"),
        [
            (
                r["name"],
                r["version"],
                ago(r["started_at"]),
                ago(r["seen_at"]),
                ", ".join(n for n, s in r["loops"].items() if s != "runs"),
            )
            for r in found
        ],
    )


@click.group()
def switches() -> None:
    """What is held back for a while."""


@switches.command(name="list")
@as_json
@api
def list_switches(api: Api, as_json: bool) -> None:
    """How they stand."""
    found = api.ask("GET", "/v1/switches")["switches"]
    if as_json:
        tell(found)
        return
    show(
        ("switch", "", "since", "by", "why"),
        [
            (s["name"], "held" if s["is_on"] else "goes", ago(s["changed_at"]), s["changed_by"], s["message"])
            for s in found
        ],
    )


def _flipping(name: str, words: str, *, on: bool) -> None:
    @switches.command(name=name, help=words)
    @click.argument("switch", type=click.Choice([each.value for each in Switch]))
    @click.option("--why", default="", help="Users read it under maintenance and pause_provisioning.", hidden=not on)
    @api
    def flip(api: Api, switch: str, why: str) -> None:
        told = api.ask("PUT", f"/v1/switches/{switch}", body={"is_on": on, "message": why})
        click.echo(f"{told['name']} is {'held back' if told['is_on'] else 'going on'}")


_flipping("on", "Hold SWITCH back, on every replica.", on=True)
_flipping("off", "Let SWITCH go on.", on=False)
