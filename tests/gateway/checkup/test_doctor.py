"""`my-jarvis doctor` against the local cloud, with one thing after the other broken."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from click.testing import CliRunner, Result

from gateway.checkup.finding import CATALOGUE
from gateway.cli import main
from localcloud.auth import LocalAuth, local_auth
from localcloud.database import Database
from localcloud.fly import local_fly

DIGEST = "registry.fly.io/golden@sha256:" + "ab" * 32


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[tuple[dict[str, str], LocalAuth]]:
    """Settings that are all right, and the Auth server to break."""
    async with AsyncExitStack() as stack:
        auth = await stack.enter_async_context(
            local_auth(
                tmp_path / "auth",
                site_url="http://127.0.0.1:8080",
                publishable_key="sb_publishable_test",
                secret_key="sb_secret_test",
            )
        )
        fly = await stack.enter_async_context(local_fly(tmp_path / "fly", token="fly-token", command=["true"]))
        yield (
            {
                "PUBLIC_URL": "http://127.0.0.1:8080",
                "SUPABASE_URL": auth.url,
                "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_test",
                "DATABASE_URL": database.owner_dsn,
                "GATEWAY_MASTER_KEYS": "k1:" + "A" * 43,
                "ADMIN_TOKEN": "an-admin-token-of-enough-length",
                "FLY_API_TOKEN": "fly-token",
                "FLY_API_URL": fly.url,
                "FLY_APP_NAME": "jarvis-machines",
                "GOLDEN_IMAGE": DIGEST,
            },
            auth,
        )


async def examined(environment: dict[str, str], *words: str) -> Result:
    """Beside our loop: the command has one of its own. Nothing of our own environment is there."""
    clean: dict[str, str | None] = dict.fromkeys(os.environ)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return await asyncio.to_thread(CliRunner().invoke, main, ["doctor", *words], env={**clean, **kept, **environment})


async def levels(environment: dict[str, str]) -> tuple[int, dict[str, str]]:
    told = await examined(environment, "--json")
    found: list[dict[str, Any]] = json.loads(told.stdout)
    worst: dict[str, str] = {}
    for each in found:
        if worst.get(each["code"]) != "bad":
            worst[each["code"]] = each["level"]
    return told.exit_code, worst


async def test_when_all_is_well_all_is_said_to_be(cloud: tuple[dict[str, str], LocalAuth]) -> None:
    code, found = await levels(cloud[0])
    assert set(found.values()) == {"good"}, found
    assert code == 0
    assert {"SET1", "DB1", "DB2", "DB3", "CLK1", "AUTH1", "AUTH2", "AUTH3", "FLY1", "IMG1", "LIFE1"} <= set(found)


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        ({"DATABASE_URL": "postgresql://x:secret-password@127.0.0.1:1/x"}, "DB1", "bad"),
        ({"SUPABASE_URL": "http://127.0.0.1:1"}, "AUTH1", "bad"),
        ({"FLY_API_TOKEN": "another-secret-token"}, "FLY1", "bad"),
        ({"FLY_API_URL": "http://127.0.0.1:1"}, "FLY1", "bad"),
        ({"GOLDEN_IMAGE": "registry.fly.io/golden:latest"}, "IMG1", "warn"),
        ({"PUBLIC_URL": "http://jarvis.example.com"}, "SET2", "warn"),
        ({"MACHINES_ISOLATION": "machine"}, "FLY2", "warn"),
        ({"ADMIN_TOKEN": "short"}, "SET1", "bad"),
    ],
)
async def test_one_thing_that_is_broken_is_the_one_that_is_found(
    cloud: tuple[dict[str, str], LocalAuth], change: dict[str, str], code: str, level: str
) -> None:
    exit_code, found = await levels({**cloud[0], **change})
    assert found[code] == level
    assert {name for name, how in found.items() if how != "good"} == {code}
    assert exit_code == (1 if level == "bad" else 0)
    plain = await examined({**cloud[0], **change})
    assert CATALOGUE[code].fix[:30] in plain.output
    for value in change.values():
        if "secret" in value:
            assert urlsplit(value).password is None or urlsplit(value).password not in plain.output
            assert "another-secret-token" not in plain.output


async def test_google_off_and_a_database_behind_are_found(
    cloud: tuple[dict[str, str], LocalAuth], database: Database
) -> None:
    environment, auth = cloud
    auth.project.google_enabled = False
    owner = await asyncpg.connect(database.admin_dsn)
    await owner.execute(
        "delete from supabase_migrations.schema_migrations"
        " where version = (select max(version) from supabase_migrations.schema_migrations)"
    )
    await owner.execute("insert into gateway.replicas values ('gone', '1', now(), now() - interval '5 minutes', '{}')")
    await owner.close()
    code, found = await levels(environment)
    assert {name for name, how in found.items() if how != "good"} == {"AUTH2", "DB2"} | (
        {"LIFE1"} if "LIFE1" in found else set()
    )
    assert code == 1
