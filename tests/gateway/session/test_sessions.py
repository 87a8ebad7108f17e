"""Sessions over time: refreshed unnoticed, ended at once, kept through outages."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from gateway.session import cookie
from gateway.session import sessions as sessions_room
from gateway.session.identity import NotSignedIn, Reason, SignInUnavailable
from gateway.session.logins import login_of
from localcloud.database import Database
from tests.gateway.session.stage import (
    ADA,
    GRACE,
    KEYS,
    Browser,
    Cloud,
    Replica,
    access_token,
    body,
    cloud_for_test,
    header,
    new_key,
    refreshed,
    replica,
    rows,
    until,
)
from tests.journeys.visitor import access_token as a_login
from tests.parts.line import line_to


class TestKnowingWhoAsks:
    async def test_a_known_session_needs_no_database(
        self, gateway: Replica, session_id: str, cloud: Cloud, database: Database
    ) -> None:
        """The hot path: told from memory, without suspending even once."""
        sessions = gateway.room.sessions
        known = sessions.peek(session_id)
        assert known is not None
        assert known.email == ADA
        assert known.session == cookie.hash_of(session_id)
        asking = sessions.identify(header(session_id))
        with pytest.raises(StopIteration) as told:
            asking.send(None)
        assert told.value.value == known

    async def test_a_fresh_replica_reads_it_once(self, cloud: Cloud, session_id: str) -> None:
        """Hundred requests at once after a deploy: everybody is known."""
        async with replica(cloud) as fresh:
            assert fresh.room.sessions.peek(session_id) is None
            asked = await asyncio.gather(*(fresh.room.sessions.identify(header(session_id)) for _ in range(100)))
            assert {who.email for who in asked} == {ADA}
            assert fresh.room.sessions.peek(session_id) is not None

    async def test_a_fresh_replica_reads_many_at_once_and_mixes_none(
        self, cloud: Cloud, gateway: Replica, session_id: str
    ) -> None:
        async with Browser(gateway.origin) as other, replica(cloud) as fresh:
            await other.sign_in(GRACE)
            both = (session_id, other.session_id) * 20
            told = await asyncio.gather(*(fresh.room.sessions.identify(header(each)) for each in both))
            assert [who.email for who in told] == [ADA, GRACE] * 20

    @pytest.mark.parametrize(
        ("cookies", "reason"),
        [
            ([], Reason.NOTHING_SHOWN),
            (["theme=dark"], Reason.NOTHING_SHOWN),
            (["jarvis=short"], Reason.NOTHING_SHOWN),
            (["jarvis=" + "A" * 43], Reason.UNKNOWN),
            (["jarvis=" + "A" * 43, "jarvis=" + "B" * 43], Reason.AMBIGUOUS),
        ],
    )
    async def test_nobody_is_told_why(self, gateway: Replica, cookies: list[str], reason: Reason) -> None:
        with pytest.raises(NotSignedIn) as nobody:
            await gateway.room.sessions.identify(cookies)
        assert nobody.value.reason is reason

    async def test_the_table_alone_opens_nothing(
        self, session_id: str, gateway: Replica, cloud: Cloud, database: Database
    ) -> None:
        """Somebody who reads a backup of the database has no cookie and no token."""
        token = await access_token(cloud, gateway, session_id)
        [row] = await rows(database)
        stored = repr(dict(row))
        assert not any(session_id[at : at + 6] in stored for at in range(38))
        assert token not in stored
        assert token.split(".")[2] not in stored
        assert (row["email"], str(row["ip"])) == (ADA, "127.0.0.1")

    async def test_sealed_tokens_cannot_be_moved_to_another_row(
        self, browser: Browser, session_id: str, gateway: Replica, cloud: Cloud, database: Database
    ) -> None:
        """Who can write to the table still cannot give one user another's tokens."""
        async with Browser(gateway.origin) as other:
            await other.sign_in(GRACE)
            connection = await asyncpg.connect(database.dsn)
            await connection.execute(
                "update gateway.sessions set access_token = other.access_token, refresh_token = other.refresh_token"
                " from gateway.sessions other where gateway.sessions.id_hash = $1 and other.id_hash = $2",
                cookie.hash_of(session_id),
                cookie.hash_of(other.session_id),
            )
            await connection.close()
        async with replica(cloud) as fresh:
            with pytest.raises(NotSignedIn):
                await fresh.room.sessions.identify(header(session_id))

    async def test_rotating_the_master_key_signs_nobody_out(self, cloud: Cloud, session_id: str) -> None:
        """k1 → k2,k1: everybody stays; k1 retired: those not refreshed since have to sign in."""
        k2 = {"k2": new_key()}
        async with replica(cloud, master_keys=k2 | KEYS) as rotated:
            assert (await rotated.room.sessions.identify(header(session_id))).email == ADA
            cloud.clock.pass_(minutes=59, seconds=30)
            await rotated.room.sessions.identify(header(session_id))  # seals the new tokens with k2
        async with replica(cloud, master_keys=k2) as retired:
            assert (await retired.room.sessions.identify(header(session_id))).email == ADA
        async with replica(cloud, master_keys={"k3": new_key()}) as lost:
            with pytest.raises(NotSignedIn):
                await lost.room.sessions.identify(header(session_id))


class TestBearerTokens:
    async def test_an_api_client_needs_no_cookie(self, gateway: Replica, cloud: Cloud, session_id: str) -> None:
        token = await access_token(cloud, gateway, session_id)
        who = await gateway.room.sessions.identify([], f"Bearer {token}")
        assert who.email == ADA
        assert login_of(who.session)[0] == who.supabase_session_id
        assert await gateway.room.sessions.identify([], f"bearer  {token}") == who

    async def test_a_bearer_token_of_ours_decides_alone(self, gateway: Replica, cloud: Cloud, session_id: str) -> None:
        """A bad token beside a good cookie is refused: whoever sends it does not mean the cookie."""
        token = await access_token(cloud, gateway, session_id)
        cloud.clock.pass_(hours=2)
        with pytest.raises(NotSignedIn) as refused:
            await gateway.room.sessions.identify(header(session_id), f"Bearer {token}")
        assert refused.value.reason is Reason.TOKEN_REFUSED

    @pytest.mark.parametrize("authorization", ["Basic YWRhOng=", "Bearer an-apps-own-token", "Bearer", "", "x y z"])
    async def test_an_apps_own_authorization_passes_beside_the_cookie(
        self, gateway: Replica, session_id: str, authorization: str
    ) -> None:
        """The App behind may have a login of its own."""
        sessions = gateway.room.sessions
        assert sessions.bearer(authorization) is None
        assert (await sessions.identify(header(session_id), authorization)).email == ADA
        with pytest.raises(NotSignedIn):
            await sessions.identify([], authorization)

    @pytest.mark.parametrize("signing", ["RS256", "HS256"])
    async def test_projects_with_other_keys_work_too(self, database: Database, tmp_path: Path, signing: str) -> None:
        """RS256, and the legacy shared secret, but that only where it is configured."""
        async with cloud_for_test(tmp_path, database.dsn, signing=signing) as cloud:
            secret = cloud.auth.jwt_secret if signing == "HS256" else None
            async with replica(cloud, legacy_jwt_secret=secret) as gateway, Browser(gateway.origin) as browser:
                assert body(await browser.sign_in())["email"] == ADA
            if secret:
                async with replica(cloud) as unconfigured, Browser(unconfigured.origin) as browser:
                    assert body(await browser.sign_in())["kind"] == "failed"


class TestEnding:
    async def _end_at_supabase(self, cloud: Cloud, gateway: Replica, session_id: str) -> None:
        token = await access_token(cloud, gateway, session_id)
        answer = await cloud.http.post(
            f"{cloud.auth.url}/auth/v1/logout",
            params={"scope": "global"},
            headers={"apikey": cloud.auth.publishable_key, "Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 204

    async def test_signed_out_everywhere_at_supabase_ends_it_here(
        self, browser: Browser, cloud: Cloud, gateway: Replica, session_id: str, database: Database
    ) -> None:
        """The next refresh is refused: the row goes, and the person signs in again."""
        await self._end_at_supabase(cloud, gateway, session_id)
        cloud.clock.pass_(hours=1, seconds=1)
        answer = await browser.get("/")
        assert (answer.status_code, body(answer)["reason"]) == (401, "revoked")
        assert await rows(database) == []
        assert body(await browser.get("/"))["reason"] == "revoked"
        assert await cloud.calls("refresh_token") == 1
        assert body(await browser.sign_in())["email"] == ADA

    async def test_a_banned_user_is_out_at_the_next_refresh(
        self, browser: Browser, cloud: Cloud, gateway: Replica, session_id: str
    ) -> None:
        who = gateway.room.sessions.peek(session_id)
        assert who is not None
        answer = await cloud.http.put(
            f"{cloud.auth.url}/auth/v1/admin/users/{who.user_id}",
            json={"ban_duration": "24h"},
            headers={"apikey": cloud.auth.secret_key, "Authorization": f"Bearer {cloud.auth.secret_key}"},
        )
        assert answer.status_code == 200
        cloud.clock.pass_(hours=1, seconds=1)
        assert (await browser.get("/")).status_code == 401
        assert body(await browser.sign_in())["kind"] == "banned"

    async def test_a_quiet_session_ends(
        self, browser: Browser, cloud: Cloud, session_id: str, database: Database
    ) -> None:
        """Two weeks without a request."""
        cloud.clock.pass_(days=14, seconds=1)
        answer = await browser.get("/")
        assert (answer.status_code, body(answer)["reason"]) == (401, "expired")
        assert await rows(database) == []

    async def test_use_keeps_a_session_alive_but_not_for_ever(
        self, browser: Browser, cloud: Cloud, gateway: Replica, session_id: str
    ) -> None:
        """A request a week slides the end along, up to 90 days."""
        lived = 0
        while (await browser.get("/")).status_code == 200:
            await gateway.room.sessions.write_seen()
            await cloud.pull("DELETE", "/requests")
            cloud.clock.pass_(days=7)
            lived += 7
        assert lived == 91

    async def test_hits_are_written_in_batches(
        self, browser: Browser, cloud: Cloud, gateway: Replica, session_id: str, database: Database
    ) -> None:
        """`last_seen_at` moves with use and never back, without a write per request."""
        [before] = await rows(database)
        cloud.clock.pass_(minutes=30)
        gateway.room.sessions.peek(session_id)
        [unwritten] = await rows(database)
        assert unwritten["last_seen_at"] == before["last_seen_at"]
        await gateway.room.sessions.write_seen()
        [after] = await rows(database)
        assert after["last_seen_at"] - before["last_seen_at"] > timedelta(minutes=29)
        assert after["expires_at"] - before["expires_at"] > timedelta(minutes=29)

    async def test_old_sessions_are_swept(
        self, cloud: Cloud, gateway: Replica, session_id: str, database: Database
    ) -> None:
        """A browser that never comes back leaves nothing."""
        cloud.clock.pass_(days=15)
        await gateway.room.sessions.sweep()
        assert await rows(database) == []

    async def test_sign_out_during_a_read_wins(self, cloud: Cloud, session_id: str) -> None:
        """A replica that is just reading the row does not bring the session back."""
        async with replica(cloud) as fresh:
            sessions = fresh.room.sessions
            reading = asyncio.ensure_future(sessions.identify(header(session_id)))
            await asyncio.sleep(0)
            sessions.heard_end(cookie.hash_of(session_id))
            await asyncio.gather(reading, return_exceptions=True)
            assert sessions.peek(session_id) is None

    async def test_sign_out_everywhere_ends_all_of_a_users_sessions(
        self, cloud: Cloud, gateway: Replica, session_id: str, database: Database
    ) -> None:
        async with Browser(gateway.origin) as laptop, Browser(gateway.origin) as grace:
            await laptop.sign_in(ADA)
            await grace.sign_in(GRACE)
            who = gateway.room.sessions.peek(session_id)
            assert who is not None
            await gateway.room.sessions.end_all(who.user_id)
            [left] = await rows(database)
            assert left["email"] == GRACE


async def test_signing_out_everywhere_ends_logins_that_have_no_session_here(
    cloud: Cloud, gateway: Replica, session_id: str
) -> None:
    """A program that signed in at Supabase by itself is out too, although Supabase is away and can tell nobody."""
    sessions, back_to = gateway.room.sessions, f"{gateway.origin}/auth/callback?s=x"
    token = await a_login(cloud.auth.url, cloud.auth.publishable_key, email=ADA, back_to=back_to)
    bearer = f"Bearer {token}"
    who = await sessions.identify([], bearer)
    await cloud.fault("/auth/v1/logout*", kind="status", status=503, times=None)
    await sessions.end_all(who.user_id)
    gateway.room.logins.heard_end(who.user_id)  # what the listener does
    with pytest.raises(NotSignedIn):
        await sessions.identify([], bearer)


async def test_the_database_being_away_is_no_sign_out(
    cloud: Cloud, gateway: Replica, session_id: str, database: Database
) -> None:
    """Known sessions go on; unknown ones are told that it cannot be told."""
    async with AsyncExitStack() as stack:
        fresh = await stack.enter_async_context(replica(cloud))
        admin = await asyncpg.connect(database.admin_dsn)
        stack.push_async_callback(admin.close)
        await admin.execute("alter table gateway.sessions rename to sessions_away")
        assert (await gateway.room.sessions.identify(header(session_id))).email == ADA
        with pytest.raises(SignInUnavailable):
            await fresh.room.sessions.identify(header(session_id))
        cloud.clock.pass_(hours=1, minutes=5)
        assert (await gateway.room.sessions.identify(header(session_id))).email == ADA
        await admin.execute("alter table gateway.sessions_away rename to sessions")
        cloud.clock.pass_(minutes=1)
        await until(lambda: refreshed(gateway.room.sessions, session_id, cloud))


async def test_the_database_saying_nothing_is_no_sign_out(
    cloud: Cloud, gateway: Replica, session_id: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes what we ask and answers nothing: who is in goes on for the grace, though their token has ended."""
    monkeypatch.setattr(sessions_room, "PATIENCE", timedelta(seconds=0.3))
    async with line_to(database) as (line, far), replica(replace(cloud, dsn=far.dsn)) as behind:
        sessions = behind.room.sessions
        assert (await sessions.identify(header(session_id))).email == ADA
        line.silent = True
        cloud.clock.pass_(hours=1, minutes=5)
        for _ in range(5):
            async with asyncio.timeout(7):  # less than anybody waits who is not known
                assert (await sessions.identify(header(session_id))).email == ADA
            cloud.clock.pass_(seconds=20)
        line.silent = False
        cloud.clock.pass_(minutes=1)
        await until(lambda: refreshed(sessions, session_id, cloud))


async def test_logs_hold_no_secret(
    cloud: Cloud, gateway: Replica, browser: Browser, session_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither token, nor cookie, nor code, least of all when something is wrong with them."""
    token = await access_token(cloud, gateway, session_id)
    with pytest.raises(NotSignedIn):
        await gateway.room.sessions.identify([], f"Bearer {token[:-6]}AAAAAA")
    await cloud.fault("/auth/v1/token*", kind="status", status=503)
    await browser.get("/auth/callback?code=" + "c" * 36)
    await browser.sign_in(GRACE)
    printed = capsys.readouterr().out
    assert "token_refused" in printed
    for secret in (token[:40], token[-20:], session_id, "c" * 36):
        assert secret not in printed
