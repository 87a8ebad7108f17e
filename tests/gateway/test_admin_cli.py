"""`my-jarvis admin …` as an operator types it."""

import asyncio
import json
from uuid import uuid4

import asyncpg
import pytest
from click.testing import CliRunner

from gateway.cli import main
from provisioner.instance import UserId
from provisioner.switches import Switch
from tests.parts.admin import TOKEN, printed, typed
from tests.parts.back import Back, somebody
from tests.parts.system import until


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


async def test_operators_are_made_listed_and_revoked(where: dict[str, str]) -> None:
    made = await typed("operators", "add", "ada", "--role", "operator", **where)
    assert made.output.startswith("jvo_")
    again = await typed("operators", "add", "ada", **where)
    assert (again.exit_code, "Name taken" in again.output) == (1, True)
    assert (await typed("operators", "revoke", "ada", **where)).exit_code == 0
    listed = printed(await typed("operators", "list", "--json", **where))
    assert [(each["name"], each["role"], bool(each["revoked_at"])) for each in listed] == [("ada", "operator", True)]
    hers = {**where, "ADMIN_TOKEN": made.output.strip()}
    assert (await typed("operators", "list", **hers)).exit_code == 1


async def test_a_life_typed(back: Back, where: dict[str, str]) -> None:
    """Found by a part of their address, moved, looked at, ended."""
    ada = somebody()
    await back.ready(ada)
    for command, state in [("suspend", "suspended"), ("wake", "active"), ("stop", "stopped"), ("restart", "active")]:
        told = await typed(command, "ada@", "--json", **where)
        assert (told.exit_code, printed(told)[0]["state"]) == (0, state), told.output
    listed = await typed("instances", "list", **where)
    assert "ada@example.com" in listed.output
    assert str(ada.user_id) in listed.output  # whole, also in a pipe
    shown = printed(await typed("instances", "show", "ada@", "--json", **where))
    assert (shown["machine"]["state"], shown["differ"]) == ("started", [])
    story = printed(await typed("timeline", "ada@", "--rows", "--json", **where))
    assert story[0]["action"] == "create"
    assert "stopped" in (await typed("timeline", "ada@", "--rows", **where)).output
    refused = await asyncio.to_thread(CliRunner().invoke, main, ["admin", "destroy", "ada@"], env=where, input="n\n")
    assert refused.exit_code == 1
    assert await back.store.find(ada.user_id) is not None
    assert (await typed("destroy", "ada@", "--yes", **where)).exit_code == 0
    assert await back.store.find(ada.user_id) is None


async def test_of_many_each_is_told_and_one_refusal_is_a_failure(back: Back, where: dict[str, str]) -> None:
    ada = somebody()
    await back.ready(ada)
    told = await typed("suspend", "ada@", "nobody@", "--json", **where)
    assert told.exit_code == 1
    assert [each.get("state") for each in printed(told)] == ["suspended", None]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("overview",), "users now"),
        (("needs",), "nothing needs you"),
        (("costs",), "total"),
        (("queue", "list"), "the queue is empty"),
        (("plan",), "free"),
        (("pool",), "no spares"),
        (("switches", "list"), "maintenance"),
        (("signups", "list"), "nobody"),
        (("instances", "list"), "nobody"),
    ],
)
async def test_every_list_is_shown_and_is_json_on_request(
    where: dict[str, str], words: tuple[str, ...], shown: str
) -> None:
    plain = await typed(*words, **where)
    assert (plain.exit_code, shown in plain.output) == (0, True), plain.output
    told = await typed(*words, "--json", **where)
    assert told.exit_code == 0
    printed(told)


async def test_replicas_are_listed_as_soon_as_they_say_that_they_live(where: dict[str, str]) -> None:
    async def listed() -> bool:
        return "one" in (await typed("replicas", **where)).output

    await until(listed)
    assert "one" in (await typed("replicas", "--json", **where)).output


async def test_a_switch_and_a_plan_are_set_by_a_word(back: Back, where: dict[str, str]) -> None:
    assert "held back" in (await typed("switches", "on", "pause_sweeps", "--why", "a bug", **where)).output
    assert back.parts.switches.on(Switch.PAUSE_SWEEPS)
    assert "going on" in (await typed("switches", "off", "pause_sweeps", **where)).output
    ada = somebody()
    assert "free → pro" in (await typed("plan", str(ada.user_id), "pro", **where)).output
    wrong = await typed("plan", str(ada.user_id), "gold", **where)
    assert (wrong.exit_code, "No such plan" in wrong.output) == (1, True)


async def test_exit_codes_tell_a_refusal_from_a_gateway_that_is_away(where: dict[str, str]) -> None:
    away = await typed("overview", ADMIN_URL="http://127.0.0.1:1", ADMIN_TOKEN=TOKEN)
    assert (away.exit_code, "does not answer" in away.output) == (3, True)
    assert (await typed("overview", **{**where, "ADMIN_TOKEN": "wrong"})).exit_code == 1
    assert (await typed("overview", ADMIN_URL=where["ADMIN_URL"])).exit_code == 2
