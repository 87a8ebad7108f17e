"""What outlives a restart, and the copy of it in Postgres."""

import socket
import sqlite3

import asyncpg
import pytest

from tests.parts.local_auth import ShiftedClock, auth_for_test, challenge_of, person_at, query_of


async def test_people_stay_signed_in_over_a_restart(tmp_path):
    """`my-jarvis dev` stopped and started again: same users, same sessions, same keys, same address."""
    async with auth_for_test(tmp_path) as auth, person_at(auth) as ada:
        before = await ada.sign_in("ada@example.com")
        keys = (await ada.http.get(f"{auth.url}/auth/v1/.well-known/jwks.json")).json()
        service_role = auth.legacy_key("service_role")
        port = int(auth.url.rpartition(":")[2])
    async with auth_for_test(tmp_path, port=port) as auth, person_at(auth) as ada:
        assert (await ada.http.get(f"{auth.url}/auth/v1/.well-known/jwks.json")).json() == keys
        assert (await ada.call("GET", "/user", before["access_token"])).json()["id"] == before["user"]["id"]
        assert (await ada.refresh(before["refresh_token"])).json()["user"]["id"] == before["user"]["id"]
        assert (await ada.sign_in("ada@example.com"))["user"]["id"] == before["user"]["id"]
        assert (await ada.call("GET", "/settings", headers={"apikey": service_role})).status_code == 200


async def test_a_restart_on_another_algorithm_rotates(tmp_path):
    async with auth_for_test(tmp_path) as auth, person_at(auth) as ada:
        before = await ada.sign_in("ada@example.com")
    async with auth_for_test(tmp_path, signing="HS256") as auth, person_at(auth) as ada:
        assert (await ada.call("GET", "/user", before["access_token"])).status_code == 200
        assert len((await ada.http.get(f"{auth.url}/auth/v1/.well-known/jwks.json")).json()["keys"]) == 1


async def test_unfinished_sign_ins_are_forgotten_after_a_day(tmp_path):
    clock = ShiftedClock()
    async with auth_for_test(tmp_path, now=clock) as auth, person_at(auth) as ada:
        await ada.authorize()
        clock.advance(hours=25)
        await ada.authorize()
    with sqlite3.connect(tmp_path / "auth.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM flows").fetchone() == (1,)
    db.close()


@pytest.fixture
async def postgres_row(database):
    """The first row of a query as the superuser."""
    connection = await asyncpg.connect(database.admin_dsn)
    yield connection.fetchrow
    await connection.close()


async def test_users_and_sessions_appear_in_postgres(tmp_path, database, postgres_row):
    """Where foreign keys, RLS and a look at `session_id` find them."""
    async with auth_for_test(tmp_path, mirror_dsn=database.admin_dsn) as auth, person_at(auth) as ada:
        answer = await ada.sign_in("ada@example.com")
        user = await postgres_row("SELECT id::text, email, raw_user_meta_data ->> 'name' AS name, aud FROM auth.users")
        assert dict(user) == {
            "id": answer["user"]["id"],
            "email": "ada@example.com",
            "name": "Ada Lovelace",
            "aud": "authenticated",
        }
        await ada.refresh(answer["refresh_token"])
        session = await postgres_row("SELECT user_id::text, host(ip) AS ip, refreshed_at FROM auth.sessions")
        assert (session["user_id"], session["ip"]) == (answer["user"]["id"], "127.0.0.1")
        assert session["refreshed_at"] is not None
        await ada.call("POST", "/logout?scope=local", answer["access_token"])
        assert await postgres_row("SELECT FROM auth.sessions") is None
        await ada.administer("DELETE", f"/users/{answer['user']['id']}")
        assert await postgres_row("SELECT FROM auth.users") is None


async def test_a_user_whom_other_rows_need_is_not_deleted(tmp_path, database, postgres_row):
    """A table of yours without an ON DELETE rule: the raw database error, and nothing is lost."""
    await postgres_row("CREATE TABLE notes (author uuid REFERENCES auth.users (id))")
    async with auth_for_test(tmp_path, mirror_dsn=database.admin_dsn) as auth, person_at(auth) as ada:
        user = (await ada.sign_in("ada@example.com"))["user"]
        await postgres_row("INSERT INTO notes SELECT id FROM auth.users")
        refused = await ada.administer("DELETE", f"/users/{user['id']}")
        assert (refused.status_code, refused.json()["code"]) == (500, "23503")
        newer = {"apikey": auth.secret_key, "X-Supabase-Api-Version": "2024-01-01"}
        again = await ada.call("DELETE", f"/admin/users/{user['id']}", auth.secret_key, headers=newer)
        assert (again.status_code, again.json()["code"]) == (500, "unexpected_failure")
        assert (await ada.administer("GET", f"/users/{user['id']}")).status_code == 200


async def test_a_trigger_that_raises_fails_the_sign_in(tmp_path, database, postgres_row):
    await postgres_row(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no more'; END $$"
    )
    await postgres_row("CREATE TRIGGER no BEFORE INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION no()")
    async with auth_for_test(tmp_path, mirror_dsn=database.admin_dsn) as auth, person_at(auth) as ada:
        url = await ada.arrive("ada@example.com", code_challenge=challenge_of("v" * 50), code_challenge_method="s256")
        assert query_of(url)["error"] == "server_error"
        assert query_of(url)["error_description"] == "Database error saving new user"
        assert (await ada.administer("GET", "/users")).json()["users"] == []


async def test_a_new_database_is_told_what_is_known(tmp_path, database, postgres_row):
    """Postgres was thrown away, the Auth file was not."""
    async with auth_for_test(tmp_path) as auth, person_at(auth) as ada:
        await ada.sign_in("ada@example.com")
    assert await postgres_row("SELECT FROM auth.users") is None
    async with auth_for_test(tmp_path, mirror_dsn=database.admin_dsn):
        row = await postgres_row("SELECT email FROM auth.users JOIN auth.sessions ON user_id = users.id")
        assert row["email"] == "ada@example.com"


async def test_a_missing_postgres_breaks_nothing(tmp_path, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    dsn = f"postgresql://nobody@127.0.0.1:{port}/nothing"
    async with auth_for_test(tmp_path, mirror_dsn=dsn) as auth, person_at(auth) as ada:
        answer = await ada.sign_in("ada@example.com")
        assert (await ada.administer("DELETE", f"/users/{answer['user']['id']}")).status_code == 200
    assert "auth_mirror_failed" in caplog.text
