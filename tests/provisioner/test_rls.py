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
API_ROLES = ["anon", "authenticated", "service_role"]
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


@pytest.mark.parametrize("table", VISIBLE)
async def test_where_a_machine_is_and_what_it_is_made_of_is_nobodys_business(api, gateway, users, table):
    """Every column that is not named above is hidden, whoever added it."""
    named = "select column_name from information_schema.columns where table_schema = 'public' and table_name = $1"
    columns = {row["column_name"] for row in await gateway.fetch(named, table)}
    visible = columns if VISIBLE[table] == "*" else set(VISIBLE[table].split(", "))
    assert visible <= columns
    for column in columns - visible:
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


@pytest.mark.parametrize("role", API_ROLES)
async def test_the_private_schema_is_closed_to_the_data_api(api, gateway, users, role):
    """Every table, view and sequence there, whoever added it."""
    relations = await gateway.fetch(
        "select relname from pg_class"
        " where relnamespace = 'gateway'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')"
    )
    assert len(relations) > 8
    for relation in relations:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="schema gateway"):
            async with asking_as(api, role, sub=str(users[0])) as request:
                await request.fetch(f"select * from gateway.{relation['relname']}")


@pytest.mark.parametrize("role", API_ROLES)
async def test_nothing_of_ours_is_granted_to_the_data_api_but_reading(gateway, role):
    """Even if the schema were opened by mistake: no table, no sequence and no function in it has a grant of its own."""
    granted = await gateway.fetch(
        """
        select c.oid::regclass::text as what from pg_class c
        where case
          when c.relkind not in ('r', 'p', 'v', 'm', 'f') then false
          when c.relnamespace = 'gateway'::regnamespace
            then has_table_privilege($1, c.oid, 'select, insert, update, delete, truncate, references, trigger')
          when c.relnamespace = 'public'::regnamespace
            then has_table_privilege($1, c.oid, 'insert, update, delete, truncate, references, trigger')
          else false
        end
        union all
        select c.oid::regclass::text from pg_class c
        where c.relnamespace in ('gateway'::regnamespace, 'public'::regnamespace)
          and case when c.relkind = 'S' then has_sequence_privilege($1, c.oid, 'usage, select, update') end
        union all
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace in ('gateway'::regnamespace, 'public'::regnamespace)
          and has_function_privilege($1, p.oid, 'execute')
        """,
        role,
    )
    assert [row["what"] for row in granted] == []
    assert not await gateway.fetchval("select has_schema_privilege($1, 'gateway', 'usage, create')", role)
    assert not await gateway.fetchval("select has_schema_privilege($1, 'public', 'create')", role)


async def test_every_public_table_has_row_level_security(gateway):
    """A view asks with its reader's rights, or it would be a way around."""
    relations = await gateway.fetch(
        """
        select c.relname, c.relkind::text, c.relrowsecurity, c.reloptions,
          exists (select from pg_policy p where p.polrelid = c.oid) as has_policy
        from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
        """
    )
    assert {row["relname"] for row in relations} == set(VISIBLE)
    for row in relations:
        if row["relkind"] == "v":
            assert "security_invoker=true" in (row["reloptions"] or []), row["relname"]
        else:
            assert row["relkind"] in ("r", "p"), row["relname"]
            assert (row["relrowsecurity"], row["has_policy"]) == (True, True), row["relname"]


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
