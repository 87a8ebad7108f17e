"""What the pages show, from what the overview found. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.admin.glancing import TARGETS
from gateway.dashboard.charts import columns, lines
from gateway.dashboard.drawing import clock
from gateway.overview.book import RunTimes
from gateway.overview.glance import Figures, Glance, Truths
from gateway.session.admissions import Signup, Standing
from provisioner.instance import Instance, State

STATES: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    ("Awake", ("active",)),
    ("Suspended", ("suspended",)),
    ("Stopped", ("stopped",)),
    ("Failed", ("failed",)),
)

HOUR: Final = timedelta(hours=1)
OWN_COLOURS: Final = 3
OTHERS: Final = "others"


def groups(glance: Glance) -> Sequence[tuple[str, int, str]]:
    """How many Instances are how, each with the query that lists them."""
    return [(name, sum(glance.states.get(s, 0) for s in of), f"state={of[0]}") for name, of in STATES]


def times(glance: Glance) -> Sequence[dict[str, Any]]:
    """How long 95 of 100 waited, beside what they shall wait at most; of several paths the slowest counts."""
    cards = []
    for name, paths in (("Provision", ("provision",)), ("Wake", ("resume", "start"))):
        runs = [run for run in glance.runs if run.path in paths]
        p95, target = max((run.p95 for run in runs), default=None), TARGETS[paths[0]]
        late = p95 is not None and p95 > target
        cards.append({"name": name, "p95": p95, "n": sum(run.n for run in runs), "target": target, "late": late})
    return cards


def chart(title: str, paths: Sequence[str], figures: Figures) -> dict[str, Any]:
    """Of several paths at once the slowest counts, in each span of time. `svg` is None where nothing happened."""
    runs, target = [run for run in figures.runs if run.path in paths], TARGETS[paths[0]]
    spans: dict[Any, list[RunTimes]] = {}
    for run in runs:
        if run.bucket is not None:
            spans.setdefault(run.bucket, []).append(run)
    series = {
        word: [(at, max(getattr(run, word) for run in spans[at])) for at in sorted(spans)]
        for word in ("p50", "p95", "p99")
    }
    svg = None
    if spans:
        label = f"{title}: seconds over the last 24 hours as p50, p95 and p99"
        svg = lines(series, since=figures.since, until=figures.until, label=label, target=target)
    return {"title": title, "svg": svg, "target": target, "runs": [run for run in runs if run.bucket is None]}


def fly_chart(figures: Figures) -> dict[str, Any]:
    """Calls to Fly that failed, the three most frequent classes each for itself. `svg` is None where none did."""
    failed = [each for each in figures.fly if each.ended != "answered"]
    totals: Counter[str] = Counter()
    for each in failed:
        totals[each.ended] += each.n
    classes = totals.most_common()
    series: dict[str, Counter[datetime]] = {name: Counter() for name, _ in classes[:OWN_COLOURS]}
    for each in failed:
        name = each.ended if each.ended in series else OTHERS
        series.setdefault(name, Counter())[each.hour] += each.n
    svg = None
    if failed:
        since, until = (at.replace(minute=0, second=0, microsecond=0) for at in (figures.since, figures.until))
        until += HOUR  # the hour that has begun has its column too
        points = {name: sorted(hours.items()) for name, hours in series.items()}
        label = "Calls to Fly that failed in the last 24 hours, by class and hour"
        svg = columns(points, since=since, until=until, span=HOUR, label=label)
    return {"svg": svg, "legend": list(series), "classes": classes, "all": sum(each.n for each in figures.fly)}


def calls(record: Instance) -> Sequence[dict[str, Any]]:
    """What may be done to an Instance, as calls of the admin API, with what to say before it is done."""
    at, who = f"/v1/instances/{record.user_id}", record.email
    cut = "Requests that are open now are cut."
    found = []
    for action in ("start", "suspend", "stop", "restart"):
        confirm = cut if action != "start" and record.state is State.ACTIVE else None
        found.append(
            {"label": action.capitalize(), "method": "POST", "path": f"{at}/{action}", "body": None, "confirm": confirm}
        )
    gone = f"This ends the Machine, the volume with all data, and the row of {who}. Only Fly's snapshots remain."
    found.append(
        {"label": "Destroy", "method": "DELETE", "path": at, "body": None, "confirm": gone, "then": "/instances"}
    )
    return found


def facts(truths: Truths) -> dict[str, Sequence[tuple[str, object]]]:
    """The record's and the Machine's facts side by side, in the same order."""
    record, machine = truths.record, truths.machine
    told: dict[str, Sequence[tuple[str, object]]] = {
        "record": [
            ("state", record.state.value),
            ("since", clock(record.state_since)),
            ("last active", clock(record.last_active)),
            ("Machine", record.machine_id or "none"),
            ("volume", record.volume_id or "none"),
            ("address", record.private_ip or "none"),
            ("app", record.app_name),
            ("region", record.region),
            ("image", record.image),
        ]
    }
    if machine is not None:
        told["machine"] = [
            ("state", machine.state.value),
            ("Machine", machine.id),
            ("name", machine.name),
            ("volume", machine.volume_id or "none"),
            ("address", machine.private_ip or "none"),
            ("region", machine.region),
            ("version", machine.version),
            ("image", machine.image),
            ("host", "well" if machine.host_ok else "not well"),
        ]
    return told


def verdicts(signup: Signup) -> Sequence[str]:
    """What may be said about them now."""
    match signup.status:
        case Standing.WAITING:
            return ("admit", "refuse")
        case Standing.ADMITTED:
            return ("suspend",)
        case _:
            return ("admit",)
