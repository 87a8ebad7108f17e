"""The laws of the house: who may import whom, what may be spawned, how large a room may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = ("gateway", "provisioner", "golden", "localcloud")


def modules(room: str) -> Iterator[Path]:
    path = ROOT / room
    return iter([path.with_suffix(".py")] if path.with_suffix(".py").exists() else sorted(path.rglob("*.py")))


def imports(path: Path) -> set[str]:
    """Dotted names of our own modules that `path` imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in HOUSE}


def within(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


LAWS = {
    "the back of the house does not know the front": ("provisioner", ("provisioner", "sql")),
    "the proxy knows Endpoints and no users, Fly or SQL": (
        "gateway/proxy",
        ("gateway.proxy", "provisioner.instance", "provisioner.clock", "provisioner.tasks"),
    ),
    "sessions end at an Identity and know no Machines": (
        "gateway/session",
        (
            "gateway.session",
            "provisioner.clock",
            "provisioner.instance.UserId",
            "provisioner.instance",
            "provisioner.store.database",
            "provisioner.store.statements",
        ),
    ),
    "account pages know sessions and use cases, and no proxy: nothing of theirs reaches a Machine": (
        "gateway/account",
        (
            "gateway.account",
            "gateway.errors",
            "gateway.pages",
            "gateway.session",
            "provisioner.clock",
            "provisioner.errors",
            "provisioner.instance",
            "provisioner.lifecycle",
            "provisioner.plans",
            "provisioner.timeline",
        ),
    ),
    "webhooks know the audit log and nothing of what it tells": (
        "gateway/webhooks",
        (
            "gateway.webhooks",
            "gateway.session.vault",
            "provisioner.audit",
            "provisioner.backoff",
            "provisioner.clock",
        ),
    ),
    "pages show what they are handed": (
        "gateway/pages",
        ("gateway.pages", "provisioner.instance", "provisioner.offer", "provisioner.plans"),
    ),
    "the Fly adapter knows the domain and no other adapter": (
        "provisioner/fly",
        (
            "provisioner.fly",
            "provisioner.clock",
            "provisioner.connections",
            "provisioner.errors",
            "provisioner.instance",
            "provisioner.ports",
            "provisioner.turns",
        ),
    ),
    "the Postgres adapter knows the domain and no other adapter": (
        "provisioner/store",
        (
            "provisioner.store",
            "provisioner.audit",
            "provisioner.awake",
            "provisioner.clock",
            "provisioner.errors",
            "provisioner.idle",
            "provisioner.images",
            "provisioner.instance",
            "provisioner.operators",
            "provisioner.ports",
            "provisioner.reconcile",
            "provisioner.reconciler",
            "provisioner.spares",
            "provisioner.subscriptions",
            "provisioner.switches",
            "provisioner.turns",
            "sql",
        ),
    ),
    "what runs in a Machine knows nothing of ours but the proxy's engine": (
        "golden",
        ("golden", "gateway.proxy", "provisioner.clock", "provisioner.instance"),
    ),
    "the default App is anybody's App": ("golden/app", ("golden.app",)),
    "the local cloud is written from the foreign documents": ("localcloud", ("localcloud",)),
}


@pytest.mark.parametrize("law", LAWS)
def test_a_room_imports_only_what_its_law_allows(law: str) -> None:
    room, allowed = LAWS[law]
    paths = list(modules(room))
    assert paths, f"{room} has no modules"
    broken = {
        str(p.relative_to(ROOT)): bad for p in paths if (bad := {i for i in imports(p) if not within(i, *allowed)})
    }
    assert not broken, law


def test_the_guard_is_light() -> None:
    """Every user's Machine pays for what the Guard imports, directly or not."""
    script = "import golden.guard.__main__, sys; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    heavy = {"aiohttp", "yarl", "multidict", "httpx", "pydantic", "jwt", "cryptography", "structlog", "asyncpg"}
    loaded = set(told.stdout.split())
    assert "golden.guard.door" in loaded
    assert not {name for name in loaded if name.split(".")[0] in heavy}
    assert not {name for name in loaded if within(name, "gateway") and not within(name, "gateway.proxy")} - {"gateway"}


def test_a_package_of_the_proxy_imports_nothing_by_itself() -> None:
    """Whoever wants one of its modules gets that one, and not aiohttp with it."""
    for path in ("gateway/__init__.py", "gateway/proxy/__init__.py", "provisioner/__init__.py"):
        tree = ast.parse((ROOT / path).read_text())
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)], path


def test_only_the_development_entry_knows_the_local_cloud() -> None:
    knows = {
        str(path.relative_to(ROOT))
        for room in ("gateway", "provisioner", "golden")
        for path in modules(room)
        if any(within(name, "localcloud") for name in imports(path))
    }
    assert knows <= {"gateway/dev.py"}


def test_adapters_are_met_only_by_the_composition_root() -> None:
    """Use cases get adapters handed in."""
    roots = {"gateway/app.py", "gateway/back.py", "gateway/dev.py", "gateway/cli.py", "gateway/admin_cli.py"}
    for room in ("gateway", "provisioner"):
        for path in modules(room):
            name = str(path.relative_to(ROOT))
            if name in roots or name.startswith(("provisioner/fly/", "provisioner/store/", "gateway/session/")):
                continue
            met = {i for i in imports(path) if within(i, "provisioner.fly", "provisioner.store")}
            assert not met, name


def test_rooms_stay_small() -> None:
    """Past 400 lines there is a second idea inside."""
    large = {
        str(path.relative_to(ROOT)): lines
        for room in (*HOUSE, "tests", "bench")
        for path in modules(room)
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not large


def test_nobody_reads_the_environment_but_the_entries() -> None:
    for room in ("gateway", "provisioner"):
        for path in modules(room):
            if path.name in ("cli.py", "dev.py"):
                continue
            assert "os.environ" not in path.read_text().replace("such as `os.environ`", ""), path


def test_every_module_says_what_it_is_for() -> None:
    for room in HOUSE:
        for path in modules(room):
            assert ast.get_docstring(ast.parse(path.read_text())), path
