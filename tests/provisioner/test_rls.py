"""Row level security, proved as the roles it is meant for: a superuser or an owner would prove nothing."""

import json
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from provisioner.instance import UserId

VISIBLE = {
    "user_instances": "user_id, email, state, region, last_active, state_since, created_at, updated_at",
    "provisioning_queue": "user_id, retry_count, next_retry_at, status, created_at",
    "user_subscriptions": "user_id, plan, status, current_period_end, created_at, updated_at",
    "instance_usage": "*",
}
HIDDEN = {
    "user_instances": ["id", "app_name", "machine_name", "machine_id", "volume_id", "private_ip", "image", "error"],
    "provisioning_queue": ["error"],
    "user_subscriptions": ["provider", "provider_customer_id", "provider_subscription_id"],
}
PRIVATE = [
    "sessions",
    "access_tokens",
    "ended_logins",
    "signups",
    "deletions",
    "instance_leases",
    "audit_log",
    "audit_head",
    "operators",
    "step_times",
]
ROWS = {
    "user_instances": "(user_id, email, state, app_name, machine_name, region, image)"
    " values ($1, 'a@example.com', 'stopped', 'jarvis', $1::uuid::text, 'fra', 'golden')",
    "provisioning_queue": "(user_id, error, next_retry_at) values ($1, 'no room', now())",
    "user_subscriptions": "(user_id) values ($1)",
    "instance_usage": "(user_id, day) values ($1, current_date)",
}


@pytest.fixture
async def api(database):
    """A connection as Supabase's Data API makes it."""
    connection = await asyncpg.connect(database.data_api_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def gateway(database):
    """A connection as the product's plain login."""
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def users(gateway):
    """Ada and Ben, with a row each in every public table."""
    users = UserId(uuid4()), UserId(uuid4())
    for table, row in ROWS.items():
        for user in users:
            await gateway.execute(f"insert into public.{table} {row}", user)
    return users


@asynccontextmanager
async def asking_as(api, role, **claims):
    """One request to the Data API: its role and claims hold for one transaction."""
    async with api.transaction():
        await api.execute(
            "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)", role, json.dumps(claims)
        )
        yield api


@pytest.mark.parametrize("table", VISIBLE)
async def test_a_user_sees_their_own_row_and_no_other(api, users, table):
    ada, _ = users
    async with asking_as(api, "authenticated", sub=str(ada)) as request:
        assert [row["user_id"] for row in await request.fetch(f"select {VISIBLE[table]} from {table}")] == [ada]


@pytest.mark.parametrize("table", VISIBLE)
async def test_who_proves_no_identity_sees_nothing(api, users, table):
    async with asking_as(api, "authenticated") as request:
        assert await request.fetch(f"select {VISIBLE[table]} from {table}") == []


@pytest.mark.parametrize("table", VISIBLE)
async def test_anonymous_visitors_are_refused(api, users, table):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with asking_as(api, "anon") as request:
            await request.fetch(f"select user_id from {table}")


@pytest.mark.parametrize(("table", "column"), [(table, column) for table in HIDDEN for column in HIDDEN[table]])
async def test_where_a_machine_is_and_what_it_is_made_of_is_nobodys_business(api, users, table, column):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with asking_as(api, "authenticated", sub=str(users[0])) as request:
            await request.fetch(f"select {column} from {table}")


@pytest.mark.parametrize("whose", ["own", "foreign"])
@pytest.mark.parametrize("table", VISIBLE)
async def test_a_user_writes_nothing_not_even_their_own(api, users, table, whose):
    """Nobody gives themselves the enterprise plan."""
    user = users[0] if whose == "own" else UserId(uuid4())
    for change in (
        f"insert into {table} {ROWS[table]}",
        f"update {table} set user_id = user_id where user_id = $1",
        f"delete from {table} where user_id = $1",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
            async with asking_as(api, "authenticated", sub=str(users[0])) as request:
                await request.execute(change, user)
        assert refused.value.sqlstate == "42501"


@pytest.mark.parametrize("table", VISIBLE)
async def test_the_service_key_reads_and_does_not_write(api, users, table):
    """A write past the gateway would be an action without its audit row."""
    async with asking_as(api, "service_role") as request:
        assert len(await request.fetch(f"select * from {table}")) == 2
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with asking_as(api, "service_role") as request:
            await request.execute(f"delete from {table}")


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("table", PRIVATE)
async def test_the_private_schema_is_closed_to_the_data_api(api, users, table, role):
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="schema gateway"):
        async with asking_as(api, role, sub=str(users[0])) as request:
            await request.fetch(f"select * from gateway.{table}")


async def test_the_lists_above_are_complete(gateway):
    """A new table or column has to say here who may see it."""
    tables = await gateway.fetch("select table_schema, table_name from information_schema.tables")
    assert {t["table_name"] for t in tables if t["table_schema"] == "public"} == set(VISIBLE)
    assert {t["table_name"] for t in tables if t["table_schema"] == "gateway"} == set(PRIVATE)
    columns = "select column_name from information_schema.columns where table_schema = 'public' and table_name = $1"
    for table, hidden in HIDDEN.items():
        named = {row["column_name"] for row in await gateway.fetch(columns, table)}
        # What is neither listed as visible nor as hidden would be a column that nobody thought about.
        assert named - set(VISIBLE[table].split(", ")) - set(hidden) <= {"updated_at"}, table


async def test_every_public_table_has_row_level_security(gateway):
    tables = await gateway.fetch(
        "select relname, relrowsecurity from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    )
    assert {row["relname"] for row in tables if row["relrowsecurity"]} == set(VISIBLE)


async def test_the_gateway_is_a_plain_login_that_sees_everybody(gateway, users):
    """So these tests, and the laptop, prove what they seem to prove."""
    me = await gateway.fetchrow("select * from pg_roles where rolname = current_user")
    assert (me["rolname"], me["rolsuper"], me["rolbypassrls"], me["rolcreaterole"]) == ("gateway", False, False, False)
    assert {row["user_id"] for row in await gateway.fetch("select * from public.user_instances")} == set(users)


async def test_the_gateway_can_neither_change_the_schema_nor_read_the_users_of_auth(gateway):
    for forbidden in (
        "create table public.x (y int)",
        "create table gateway.x (y int)",
        "alter table public.user_instances disable row level security",
        "select * from auth.users",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await gateway.execute(forbidden)
