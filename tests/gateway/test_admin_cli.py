"""`my-jarvis admin …` as an operator types it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from localcloud.database import Database
from provisioner.instance import UserId
from tests.gateway.test_admin import TOKEN, listener
from tests.parts.back import Back, back_of_house


@pytest.fixture
async def back(database: Database, tmp_path: Path) -> AsyncIterator[Back]:
    async with back_of_house(database, tmp_path) as back:
        yield back


async def typed(*words: str, **environment: str) -> Result:
    """Beside our loop: the command has one of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["admin", *words], env=environment)


async def test_a_log_that_holds_is_said_to_hold(back: Back) -> None:
    await back.store.append_audit("ada", "export", None)
    told = await typed("audit", "verify", DATABASE_URL=back.database.dsn)
    assert told.exit_code == 0, told.output
    head = told.output.split()[-1]
    assert head.startswith("1:")
    await back.store.append_audit("ada", "export", None)
    assert (await typed("audit", "verify", "--noted", head, DATABASE_URL=back.database.dsn)).exit_code == 0
    other = f"1:{'00' * 32}"
    broken = await typed("audit", "verify", "--noted", other, DATABASE_URL=back.database.dsn)
    assert (broken.exit_code, "row 1" in broken.output) == (1, True)


async def test_a_log_that_was_changed_names_the_row_and_ends_with_1(back: Back) -> None:
    for number in range(3):
        await back.store.append_audit("ada", f"step {number}", None)
    owner = await asyncpg.connect(back.database.admin_dsn)
    await owner.execute("alter table gateway.audit_log disable trigger all")
    await owner.execute("update gateway.audit_log set actor = 'eve' where id = 2")
    await owner.close()
    told = await typed("audit", "verify", DATABASE_URL=back.database.dsn)
    assert (told.exit_code, "row 2" in told.output) == (1, True)


async def test_the_log_is_listed_by_user_and_time(back: Back) -> None:
    ada = UserId(uuid4())
    await back.store.append_audit("sweeper", "one", ada)
    await back.store.append_audit("sweeper", "two", None)
    told = await typed("audit", "list", "--user", str(ada), "--json", DATABASE_URL=back.database.dsn)
    assert [json.loads(line)["action"] for line in told.output.splitlines()] == ["one"]
    plain = await typed("audit", "list", "--since", "2020-01-01", DATABASE_URL=back.database.dsn)
    assert [line.split()[4] for line in plain.output.splitlines()] == ["one", "two"]
    later = await typed("audit", "list", "--since", "2999-01-01T00:00:00Z", DATABASE_URL=back.database.dsn)
    assert (later.exit_code, later.output) == (0, "")


@pytest.mark.parametrize("words", [("list", "--since", "soon"), ("verify", "--noted", "x"), ("list", "--user", "ada")])
async def test_what_cannot_be_read_is_told(words: tuple[str, ...]) -> None:
    assert (await typed("audit", *words, DATABASE_URL="postgresql://127.0.0.1:1/x")).exit_code == 2


async def test_a_database_that_is_not_there_is_no_traceback() -> None:
    told = await typed("audit", "verify", DATABASE_URL="postgresql://x:y@127.0.0.1:1/x")
    assert (told.exit_code, told.output.startswith("Error: the database")) == (1, True)


async def test_operators_are_made_listed_and_revoked(back: Back) -> None:
    async with listener(back) as server:
        where = {"ADMIN_URL": str(server.make_url("/")), "ADMIN_TOKEN": TOKEN}
        made = await typed("operators", "add", "ada", "--role", "operator", **where)
        assert made.output.startswith("jvo_")
        again = await typed("operators", "add", "ada", **where)
        assert (again.exit_code, "Name taken" in again.output) == (1, True)
        assert (await typed("operators", "revoke", "ada", **where)).exit_code == 0
        listed = await typed("operators", "list", **where)
        assert listed.output.split()[:3] == ["ada", "operator", "revoked"]
        hers = {**where, "ADMIN_TOKEN": made.output.strip()}
        assert (await typed("operators", "list", **hers)).exit_code == 1
