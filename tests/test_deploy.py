"""What is deployed is what the code means: fly.toml, the Dockerfiles and the lock files against the code."""

import inspect
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import AliasChoices

from gateway.app import FAREWELL_S
from gateway.cli import main
from gateway.listen import host_and_port
from gateway.public import Public
from gateway.settings import Settings

ROOT = Path(__file__).parent.parent
FLY: dict[str, Any] = tomllib.loads((ROOT / "fly.toml").read_text())
DOCKERFILES = sorted(path for path in (ROOT / "Dockerfile", ROOT / "golden" / "Dockerfile") if path.exists())
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
SECRET = re.compile(r"sb_secret_\w|sb_publishable_\w|fm2_\w|FlyV1 \w|eyJ[\w-]{10,}|sk-ant-\w|postgres(ql)?://\S+:\S+@")


def names_of(field: str) -> set[str]:
    """The names in the environment that set `field`."""
    alias = Settings.model_fields[field].validation_alias
    return {str(name) for name in alias.choices} if isinstance(alias, AliasChoices) else {field.upper()}


def instructions(dockerfile: Path) -> list[str]:
    """Its instructions, continuation lines joined, comments gone."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def last(dockerfile: Path, name: str) -> str:
    """The argument of the last `name` instruction: the one that counts."""
    found = [rest for line in instructions(dockerfile) for word, _, rest in [line.partition(" ")] if word == name]
    assert found, f"{dockerfile} has no {name}"
    return found[-1]


def default_port(field: str) -> int:
    return host_and_port(Settings.model_fields[field].default)[1]


def test_fly_sends_requests_where_we_listen() -> None:
    assert FLY["http_service"]["internal_port"] == default_port("public_listen")
    for check in FLY["checks"].values():
        assert check["port"] == default_port("public_listen")
    exposed = {int(port) for port in last(ROOT / "Dockerfile", "EXPOSE").split()}
    assert exposed == {default_port(f"{name}_listen") for name in ("public", "admin", "broker")}


def test_only_the_public_port_is_a_service() -> None:
    """The admin API and the broker are reached over the private network alone."""
    assert "services" not in FLY
    assert FLY["http_service"]["internal_port"] not in (default_port("admin_listen"), default_port("broker_listen"))


def test_fly_asks_for_pages_that_exist() -> None:
    source = inspect.getsource(Public)
    routed = {check["path"]: check["method"] for check in FLY["http_service"]["checks"]}
    told = {check["path"]: check["method"] for check in FLY["checks"].values()}
    for path, method in (routed | told).items():
        assert f'("{method}", "{path}")' in source
    assert set(routed) == {"/_gateway/healthz"}, "a database that is away must not take a replica out of routing"


def test_fly_collects_metrics_that_it_may_read() -> None:
    """Its collector sends no token: behind one the page would only fill the log with refusals."""
    assert FLY["metrics"] == {"port": default_port("admin_listen"), "path": "/metrics"}
    assert FLY["env"]["OPEN_METRICS"] == "true"


def test_every_name_in_env_is_a_setting() -> None:
    known = set().union(*(names_of(field) for field in Settings.model_fields))
    assert set(FLY["env"]) <= known


def test_env_holds_nothing_that_fly_keeps_for_itself() -> None:
    """Names with FLY_ are refused in [env]; those that Fly sets mean the gateway's own app and region."""
    assert not [name for name in FLY["env"] if name.startswith("FLY_")]
    assert {"MACHINES_APP_NAME", "MACHINES_REGION"} <= set(FLY["env"])
    assert FLY["env"]["MACHINES_APP_NAME"] != FLY["app"]


def test_what_env_does_not_set_is_a_secret_or_has_a_default() -> None:
    """After `fly secrets set` of the required secrets nothing is missing."""
    missing = [
        field
        for field, about in Settings.model_fields.items()
        if about.is_required() and not names_of(field) & set(FLY["env"])
    ]
    assert set(missing) == {
        "supabase_publishable_key",
        "database_url",
        "gateway_master_keys",
        "admin_token",
        "fly_api_token",
    }
    operations = (ROOT / "docs" / "operations.md").read_text()
    for field in missing:
        assert any(f"{name}=" in operations for name in names_of(field)), f"{field}: operations.md does not set it"


def test_the_golden_image_is_pinned_by_digest() -> None:
    assert re.search(r"@sha256:[0-9a-f]{64}$", FLY["env"]["GOLDEN_IMAGE"])


def test_requests_may_end_before_we_are_killed() -> None:
    assert FLY["kill_signal"] == "SIGTERM" == last(ROOT / "Dockerfile", "STOPSIGNAL")
    assert FAREWELL_S + 10 < FLY["kill_timeout"] <= 300  # Fly's most


def test_two_replicas_that_nobody_puts_to_sleep() -> None:
    service = FLY["http_service"]
    assert service["auto_stop_machines"] == "off"
    assert service["min_machines_running"] == 2
    assert service["force_https"] is True
    assert service["concurrency"]["type"] == "connections"


@pytest.mark.parametrize(
    "words", [FLY["deploy"]["release_command"].split(), json.loads(last(ROOT / "Dockerfile", "CMD"))]
)
def test_what_is_run_is_a_command_of_ours(words: list[str]) -> None:
    program, command = words
    assert program == "my-jarvis"
    assert isinstance(main, click.Group)
    assert command in main.commands


def test_the_release_command_needs_the_database_alone() -> None:
    assert isinstance(main, click.Group)
    options = {p.name: p for p in main.commands["migrate"].params if isinstance(p, click.Option)}
    assert [p.name for p in options.values() if p.required] == ["database_url"]
    assert options["database_url"].envvar == ["MIGRATION_DATABASE_URL", "DATABASE_URL"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_dockerfile_starts_a_program_as_nobody_special(dockerfile: Path) -> None:
    """The exec form, because a shell in between would keep the signals to itself."""
    start = [line for line in instructions(dockerfile) if line.startswith(("CMD ", "ENTRYPOINT "))]
    assert start
    for line in start:
        assert isinstance(json.loads(line.partition(" ")[2]), list)
    for line in instructions(dockerfile):
        if line.startswith("FROM "):
            image = line.split()[1]
            assert re.search(r":\d+\.\d+\.\d+|@sha256:", image) or f" AS {image}" in dockerfile.read_text(), line


def test_the_gateway_runs_as_a_plain_user() -> None:
    assert last(ROOT / "Dockerfile", "USER") not in ("root", "0")


def test_the_image_has_neither_local_cloud_nor_tools() -> None:
    copied = " ".join(line for line in instructions(ROOT / "Dockerfile") if line.startswith("COPY "))
    assert "localcloud" not in copied
    assert "tests" not in copied
    final = instructions(ROOT / "Dockerfile")
    final = final[max(i for i, line in enumerate(final) if line.startswith("FROM ")) :]
    assert [line for line in final if line.startswith("COPY ")] == ["COPY --from=build /opt/my-jarvis /opt/my-jarvis"]
    for line in instructions(ROOT / "Dockerfile"):
        for piece in line.split("&&"):
            if "pip install" in piece:
                assert "--require-hashes" in piece or "--no-index" in piece, piece


def test_what_builds_the_wheel_is_pinned() -> None:
    named = re.search(r"/\^\(([^)]+)\)==/", (ROOT / "Dockerfile").read_text())
    assert named is not None
    lock = (ROOT / "requirements-dev.lock").read_text()
    for package in named[1].split("|"):
        assert re.search(rf"^{package}==", lock, re.MULTILINE), package


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_build_sees_only_what_it_copies(dockerfile: Path) -> None:
    """Local data, .env files and the history of the repository must not travel to a remote builder."""
    own = dockerfile.with_name("Dockerfile.dockerignore")
    ignore = own if own.exists() else ROOT / ".dockerignore"
    lines = [line for line in ignore.read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    for line in instructions(dockerfile):
        if line.startswith("COPY ") and "--from=" not in line:
            *sources, _ = [word for word in line.split()[1:] if not word.startswith("--")]
            for source in sources:
                assert any(source == one or source.startswith(f"{one}/") for one in allowed), source


@pytest.mark.parametrize("path", ["fly.toml", "Dockerfile", "golden/Dockerfile", ".dockerignore"])
def test_no_secret_stands_in_a_deployment_file(path: str) -> None:
    if (ROOT / path).exists():
        assert SECRET.search((ROOT / path).read_text()) is None


def test_no_secret_setting_is_set_in_env() -> None:
    secret = {"fly_api_token", "supabase_secret_key", "supabase_jwt_secret", "admin_token", "gateway_master_keys"}
    secret |= {"database_url", "supabase_publishable_key"}
    assert not set(FLY["env"]) & set().union(*(names_of(field) for field in secret))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_every_package_by_hash_and_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--\w*index|--find-links|--extra|--trusted)", text, re.MULTILINE)
    entries = text.replace("\\\n", " ").splitlines()
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==[^\s;]+( ; [^#]+?)?\s+--hash=sha256:[0-9a-f]{64}", entry), entry[:120]


def test_production_needs_nothing_that_development_does_not_have() -> None:
    pins = [set(re.findall(r"^([a-z0-9._-]+==[^\s;\\]+)", lock.read_text(), re.MULTILINE)) for lock in LOCKS]
    assert pins[0] <= pins[1]


def test_the_wheel_has_what_is_read_at_run_time(tmp_path: Path) -> None:
    """Plans, queries, migrations, templates and pictures: a replica starts from the wheel alone."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    read = {
        str(path.relative_to(ROOT))
        for room in ("gateway", "provisioner", "sql")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "provisioner/plans.toml" in packed
    assert read <= packed
