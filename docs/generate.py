"""The parts of docs/*.md that repeat the code: `python -m docs.generate` writes them, tests/test_docs.py compares.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`; whatever is written there by hand is lost.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from gateway.checkup.finding import CATALOGUE
from gateway.observe import Metrics
from gateway.settings import Settings
from provisioner import images as rollout_life
from provisioner import instance as life
from provisioner import spares as spare_life
from provisioner.images import ROLLOUT_STEPS, RolloutEvent, RolloutState
from provisioner.instance import STEPS, Event, State
from provisioner.plan import BY_MACHINE, GOALS, Goal
from provisioner.spares import SPARE_STEPS, SpareEvent, SpareState

DOCS: Final = Path(__file__).parent
ROOT: Final = DOCS.parent
PART: Final = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)
UNITS: Final = {
    "_s": "seconds",
    "_days": "days",
    "_mb": "MB",
    "_gb": "GB",
    "_total": "requests",
    "_per_user": "requests",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; `|` inside cells is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def remarks(module: ModuleType, row: str) -> Iterator[tuple[re.Match[str], str]]:
    """Lines of `module` that match `row`, each with the comment at its end."""
    for line in inspect.getsource(module).splitlines():
        found = re.match(r"\s*" + row, line)
        if found:
            yield found, line.partition("  # ")[2]


def life_table() -> str:
    """STEPS, a row each; what is true of every state is one row."""
    why = {(State[m[1]], Event[m[2]]): remark for m, remark in remarks(life, r"\(_S\.(\w+), _E\.(\w+)\): _S\.\w+")}
    rows = [
        (f"`{state}`", f"`{event}`", f"`{after}`", why.get((state, event), ""))
        for (state, event), after in STEPS.items()
        if event is not Event.DELETE
    ]
    if {state for state, event in STEPS if event is Event.DELETE} != set(State) - {State.DELETING}:
        raise ValueError("the last row below is no longer true: give DELETE rows of their own")
    rows.append((f"any but `{State.DELETING}`", f"`{Event.DELETE}`", f"`{State.DELETING}`", "asked for; final"))
    return table(("state", "event", "next state", "when"), rows)


def spares_table() -> str:
    """SPARE_STEPS, a row each."""
    remarked = remarks(spare_life, r"\(_S\.(\w+), _E\.(\w+)\): _S\.\w+")
    why = {(SpareState[m[1]], SpareEvent[m[2]]): remark for m, remark in remarked}
    rows = [
        (f"`{state}`", f"`{event}`", f"`{after}`", why.get((state, event), ""))
        for (state, event), after in SPARE_STEPS.items()
    ]
    return table(("state", "event", "next state", "when"), rows)


def rollouts_table() -> str:
    """ROLLOUT_STEPS, a row each."""
    remarked = remarks(rollout_life, r"\(_S\.(\w+), _E\.(\w+)\): _S\.\w+")
    why = {(RolloutState[m[1]], RolloutEvent[m[2]]): remark for m, remark in remarked}
    rows = [
        (f"`{state}`", f"`{event}`", f"`{after}`", why.get((state, event), ""))
        for (state, event), after in ROLLOUT_STEPS.items()
    ]
    return table(("state", "event", "next state", "when"), rows)


def life_picture() -> str:
    """STEPS as a Mermaid diagram, without DELETE."""
    arrows = [
        f"    {state} --> {after}: {event}\n" for (state, event), after in STEPS.items() if event is not Event.DELETE
    ]
    return "```mermaid\nstateDiagram-v2\n    [*] --> provisioning\n" + "".join(arrows) + "```\n"


def plan_table() -> str:
    """What `plan` decides: a row for each word of Fly's, a column for each goal."""
    goals = [goal for goal in Goal if goal is not Goal.GONE]
    rows = [
        ("no app of its own recorded (isolation `app`)", "make_app", *[""] * 5),
        ("no address of it recorded (isolation `app`)", "assign_address", *[""] * 5),
        ("no volume recorded", "make_volume", *[""] * 5),
        ("no Machine recorded", "make_machine", "put_down", "stop_instead", "done", "rest", "rest"),
        ("Fly has no such Machine", "forget", "put_down", "stop_instead", "forget", "forget", "forget"),
        *((f"`{state}`", *(acts[goal] for goal in goals)) for state, acts in BY_MACHINE.items()),
        ("its host out of reach for long", "move_away", "", "stop_instead", "", "", ""),
        ("past its deadline", "give_up", "hit", "stop_instead", "replace", "", ""),
    ]
    states = {goal: ", ".join(f"`{state}`" for state, towards in GOALS.items() if towards is goal) for goal in goals}
    cells = [(known, *(f"`{act}`" if act else "" for act in acts)) for known, *acts in rows]
    return table(("what is known", *(f"{goal}: {states[goal]}" for goal in goals)), cells)


def settings_table() -> str:
    """Every field of Settings, in its order."""
    rows = [
        (
            "<br>".join(f"`{name}`" for name in names(field, about)),
            kind(field, about),
            default(about),
            ("**required** " if about.is_required() else "") + ("secret" if secret(field, about) else ""),
            (about.description or "").replace("<", "&lt;"),  # or Markdown takes it for HTML
        )
        for field, about in Settings.model_fields.items()
    ]
    return table(("name", "type", "default", "", "meaning"), rows)


def names(field: str, about: FieldInfo) -> list[str]:
    """Its names in the environment, the winning one first."""
    alias = about.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [field.upper()]


def secret(field: str, about: FieldInfo) -> bool:
    """Whether its value must be shown nowhere."""
    return SecretStr in (about.annotation, *get_args(about.annotation)) or about.repr is False


def kind(field: str, about: FieldInfo) -> str:
    """Type, unit and bounds in a few words."""
    if get_origin(about.annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(about.annotation))
    if about.annotation is bool:
        return "`true` or `false`"
    plain: dict[Any, str] = {str: "text", int: "whole number", float: "number", SecretStr: "text", dict: "keys"}
    types = [t for t in get_args(about.annotation) or [about.annotation] if t is not NoneType]
    words = [plain.get(get_origin(about.annotation) or types[0], plain.get(types[0], "text"))]
    words += [unit for suffix, unit in UNITS.items() if field.endswith(suffix)]
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of", "min_length": "length ≥"}
    for rule in about.metadata:
        words += [
            f"{sign} {getattr(rule, name)}" for name, sign in signs.items() if getattr(rule, name, None) is not None
        ]
        if getattr(rule, "pattern", None):
            words.append(f"`{rule.pattern}`")
    return ", ".join(words)


def default(about: FieldInfo) -> str:
    """What it is when nobody sets it."""
    if about.is_required():
        return "–"
    if isinstance(about.default, bool):
        return f"`{str(about.default).lower()}`"
    return "none" if about.default in (None, "") else f"`{about.default}`"


def events_table() -> str:
    """Every log event of gateway and provisioner: constant name, levels, facts, where."""
    found: dict[str, tuple[set[str], set[str], set[str]]] = {}
    for room in ("gateway", "provisioner"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for level, event, facts in events(ast.parse(path.read_text(encoding="utf-8"))):
                levels, known, places = found.setdefault(event, (set(), set(), set()))
                levels.add(level)
                known |= facts
                places.add(str(path.relative_to(ROOT)))
    rows = [
        (f"`{event}`", ", ".join(sorted(levels)), ", ".join(f"`{f}`" for f in sorted(facts)), ", ".join(sorted(places)))
        for event, (levels, facts, places) in sorted(found.items())
    ]
    return table(("event", "level", "facts", "said in"), rows)


def events(tree: ast.Module) -> Iterator[tuple[str, str, set[str]]]:
    """(level, event, facts) of every call of a structlog logger, `debug` left out."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id="log"), attr=level) if level != "debug":
                pass
            case ast.Name(id="level"):  # chosen by how bad it is
                level = "info or error"
            case _:
                continue
        facts = {keyword.arg or "…" for keyword in node.keywords} - {"exc_info"}
        yield {"exception": "error"}.get(level, level), str(node.args[0].value), facts


def metrics_table() -> str:
    """What `/metrics` shows, as Prometheus names it."""
    registry: Any = Metrics().registry
    labels = {name: each._labelnames for each, names in registry._collector_to_names.items() for name in names}
    rows = [
        (
            f"`{metric.name}_total`" if metric.type == "counter" else f"`{metric.name}`",
            metric.type,
            ", ".join(f"`{label}`" for label in labels[metric.name]),
            metric.documentation,
        )
        for metric in registry.collect()
    ]
    return table(("name", "type", "labels", "meaning"), rows)


def health_codes() -> str:
    """CATALOGUE, a section each: findings link here."""
    return "".join(
        f"## {name}\n\n**{code.title}.**\n\n- When it is not: {code.cause}\n- Check: {code.check}\n"
        f"- Fix: {code.fix}\n\n"
        for name, code in CATALOGUE.items()
    )


PARTS: Final[dict[str, Callable[[], str]]] = {
    "life-table": life_table,
    "spares-table": spares_table,
    "rollouts-table": rollouts_table,
    "life-picture": life_picture,
    "plan-table": plan_table,
    "settings-table": settings_table,
    "events-table": events_table,
    "metrics-table": metrics_table,
    "health-codes": health_codes,
}


def filled(text: str) -> str:
    """`text` with every generated part as the code has it now."""
    return PART.sub(lambda part: part[1] + PARTS[part["name"]]() + part[4], text)


def main() -> int:
    """Write what changed; with `--check` only say it."""
    stale = [
        (path, new) for path in sorted(DOCS.glob("*.md")) if (new := filled(old := path.read_text("utf-8"))) != old
    ]
    for path, new in stale:
        print(path.relative_to(ROOT))
        if "--check" not in sys.argv:
            path.write_text(new, encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
