"""Tokens renewed without anybody noticing: early, once, and through outages."""

import asyncio

import asyncpg
import pytest

from gateway.session.identity import NotSignedIn, SignInUnavailable
from localcloud.database import Database
from tests.gateway.session.stage import (
    ADA,
    GRACE,
    Browser,
    Cloud,
    Replica,
    access_token,
    header,
    refresh_token,
    refreshed,
    replica,
    until,
)


class TestRefreshing:
    async def test_the_last_minute_refreshes_and_nobody_waits(
        self, gateway: Replica, cloud: Cloud, session_id: str
    ) -> None:
        """A hit within the last minute is answered from memory while the refresh runs beside it."""
        sessions = gateway.room.sessions
        cloud.clock.pass_(minutes=58)
        before = sessions.peek(session_id)
        assert await cloud.calls("refresh_token") == 0
        cloud.clock.pass_(minutes=1, seconds=30)
        assert sessions.peek(session_id) == before
        await until(lambda: sessions.peek(session_id) != before)
        assert await cloud.calls("refresh_token") == 1

    async def test_a_slow_supabase_makes_nobody_wait(self, gateway: Replica, cloud: Cloud, session_id: str) -> None:
        """While a refresh hangs, the session is told from memory; other users' sessions are read as ever."""
        sessions = gateway.room.sessions
        cloud.clock.pass_(minutes=59, seconds=30)
        await cloud.fault("/auth/v1/token*", kind="hold", times=None)
        async with asyncio.timeout(2):
            for _ in range(50):
                assert (await sessions.identify(header(session_id))).email == ADA
            with pytest.raises(NotSignedIn):
                await sessions.identify(["jarvis=" + "A" * 43])
        await cloud.heal()
        await sessions._flights.settle()
        assert await cloud.calls("refresh_token") == 1

    async def test_a_caller_that_leaves_does_not_break_the_refresh(
        self, gateway: Replica, cloud: Cloud, session_id: str
    ) -> None:
        """The browser gave up, the refresh token is spent all the same: what came back is kept."""
        sessions = gateway.room.sessions
        cloud.clock.pass_(hours=1, seconds=1)
        await cloud.fault("/auth/v1/token*", kind="hold")
        impatient = asyncio.ensure_future(sessions.identify(header(session_id)))
        await until(lambda: cloud.auth.faults.describe() == [])
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        await cloud.heal()
        assert (await sessions.identify(header(session_id))).expires_at > cloud.clock.now()
        assert await cloud.calls("refresh_token") == 1

    async def test_two_replicas_and_200_requests_refresh_once(
        self, cloud: Cloud, session_id: str, database: Database
    ) -> None:
        """The token ends now, everybody asks at once on both replicas: one refresh, no failed request."""
        admin = await asyncpg.connect(database.admin_dsn)

        async def one_waits_for_the_other() -> bool:
            waiting = "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
            return bool(await admin.fetchval(waiting))

        async with replica(cloud) as one, replica(cloud) as two:
            for each in (one, two):
                await each.room.sessions.identify(header(session_id))
            cloud.clock.pass_(hours=1, seconds=1)
            await cloud.fault("/auth/v1/token*", kind="hold", times=None)  # so that the two really meet
            asking = asyncio.gather(
                *(each.room.sessions.identify(header(session_id)) for each in (one, two) for _ in range(100))
            )
            await until(one_waits_for_the_other)
            await cloud.heal()
            asked = await asking
        await admin.close()
        assert {who.email for who in asked} == {ADA}
        assert all(who.expires_at > cloud.clock.now() for who in asked)
        assert await cloud.calls("refresh_token") == 1

    async def test_a_session_lives_through_a_day_of_refreshes(
        self, browser: Browser, cloud: Cloud, session_id: str
    ) -> None:
        for hour in range(24):
            cloud.clock.pass_(minutes=61)
            await cloud.pull("DELETE", "/requests")
            assert (await browser.get("/")).status_code == 200, hour
        assert browser.session_id == session_id

    @pytest.mark.parametrize("kind", ["rotating", "counter"])
    async def test_both_kinds_of_refresh_tokens(self, browser: Browser, cloud: Cloud, kind: str) -> None:
        cloud.auth.project.refresh_kind = kind  # type: ignore[assignment]
        await browser.sign_in()
        for _ in range(3):
            cloud.clock.pass_(minutes=61)
            assert (await browser.get("/")).status_code == 200

    async def test_short_lived_tokens_are_not_refreshed_at_every_hit(
        self, browser: Browser, cloud: Cloud, gateway: Replica
    ) -> None:
        """With tokens of 30 s, "the last minute" would be always."""
        await cloud.pull("PATCH", "/project", {"token_lifetime_s": 30})
        await browser.sign_in()
        for _ in range(20):
            await browser.get("/")
        assert await cloud.calls("refresh_token") == 0

    async def test_a_lost_answer_does_not_lose_the_session(
        self, gateway: Replica, cloud: Cloud, session_id: str
    ) -> None:
        """Supabase rotated the token, we never heard: its rule for one step behind carries us over."""
        sessions = gateway.room.sessions
        await cloud.fault("/auth/v1/token*", kind="lost_answer")
        cloud.clock.pass_(minutes=59, seconds=30)
        first = sessions.peek(session_id)
        await sessions._flights.settle()
        assert sessions.peek(session_id) == first
        cloud.clock.pass_(seconds=45)  # past the old token's end, within the grace
        await until(lambda: refreshed(sessions, session_id, cloud))

    async def test_a_stumbling_supabase_is_asked_once_more(
        self, gateway: Replica, cloud: Cloud, session_id: str
    ) -> None:
        """500 and 409 are said to pass; the second try carries the request."""
        for status in (500, 409):
            await cloud.fault("/auth/v1/token*", kind="status", status=status, body={"code": "conflict"})
            cloud.clock.pass_(hours=1, seconds=1)
            who = await gateway.room.sessions.identify(header(session_id))
            assert who.expires_at > cloud.clock.now()

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "status", "status": 503},
            {"kind": "status", "status": 429, "headers": {"Retry-After": "7"}},
            {"kind": "reset"},
            {"kind": "status", "status": 401, "body": {"message": "Invalid API key"}},
            {"kind": "status", "status": 200, "body": {"not": "a session"}},
        ],
    )
    async def test_an_outage_signs_nobody_out(
        self, gateway: Replica, cloud: Cloud, session_id: str, fault: dict[str, object]
    ) -> None:
        """Supabase down for ten minutes: who is signed in goes on working, and it heals by itself."""
        sessions = gateway.room.sessions
        await cloud.fault("/auth/v1/token*", times=None, **fault)
        cloud.clock.pass_(minutes=59, seconds=30)
        for _ in range(10):
            assert (await sessions.identify(header(session_id))).email == ADA
            await sessions._flights.settle()
            cloud.clock.pass_(minutes=1)
        await cloud.heal()
        await cloud.pull("DELETE", "/requests")
        cloud.clock.pass_(minutes=1)
        await until(lambda: refreshed(sessions, session_id, cloud))

    async def test_an_outage_is_not_hammered(self, gateway: Replica, cloud: Cloud, session_id: str) -> None:
        """Hundreds of hits during an outage are a handful of calls."""
        await cloud.fault("/auth/v1/token*", times=None, kind="status", status=429)
        cloud.clock.pass_(hours=1, seconds=1)
        for _ in range(300):
            await gateway.room.sessions.identify(header(session_id))
        assert await cloud.calls("refresh_token") <= 2

    async def test_one_rate_limit_speaks_for_all_sessions(
        self, gateway: Replica, cloud: Cloud, session_id: str
    ) -> None:
        """The limit counts per address: after one 429 the other sessions' tries would only prolong it."""
        async with Browser(gateway.origin) as other:
            await other.sign_in(GRACE)
            await cloud.fault("/auth/v1/token*", times=None, kind="status", status=429, headers={"Retry-After": "30"})
            cloud.clock.pass_(hours=1, seconds=1)
            for each in (session_id, other.session_id):
                await gateway.room.sessions.identify(header(each))
            assert await cloud.calls("refresh_token") == 1
            cloud.clock.pass_(seconds=50)
            await gateway.room.sessions.identify(header(session_id))
            assert await cloud.calls("refresh_token") == 2

    async def test_after_the_grace_nobody_is_believed(self, gateway: Replica, cloud: Cloud, session_id: str) -> None:
        """503, not 401: the session is not over, it only cannot be told."""
        sessions = gateway.room.sessions
        await cloud.fault("/auth/v1/token*", times=None, kind="status", status=503)
        cloud.clock.pass_(hours=1, minutes=16)
        for _ in range(3):
            with pytest.raises(SignInUnavailable):
                await sessions.identify(header(session_id))
        await cloud.heal()
        cloud.clock.pass_(minutes=1)
        assert (await sessions.identify(header(session_id))).email == ADA

    async def test_another_users_tokens_are_not_taken(self, gateway: Replica, cloud: Cloud, session_id: str) -> None:
        """However it comes about: well signed, alive, and Grace's. Ada's session never becomes hers."""
        cloud.clock.pass_(hours=1, minutes=16)
        async with Browser(gateway.origin) as other:
            await other.sign_in(GRACE)
            hers = await access_token(cloud, gateway, other.session_id)
            grace = await gateway.room.sessions.identify(header(other.session_id))
            answer = {
                "access_token": hers,
                "refresh_token": await refresh_token(gateway, other.session_id),
                "token_type": "bearer",
                "expires_in": 3600,
                "user": {
                    "id": str(grace.user_id),
                    "aud": "authenticated",
                    "app_metadata": {},
                    "user_metadata": {},
                    "created_at": "2026-01-01T00:00:00Z",
                },
            }
            await cloud.fault("/auth/v1/token*", kind="status", status=200, body=answer)
            with pytest.raises(SignInUnavailable):
                await gateway.room.sessions.identify(header(session_id))
            assert cloud.auth.faults.describe() == []  # it was asked
            assert await access_token(cloud, gateway, session_id) != hers

    async def test_refreshed_while_the_keys_cannot_be_had(
        self, gateway: Replica, cloud: Cloud, session_id: str
    ) -> None:
        """Supabase rotates its key and its key list is down: the spent refresh token is replaced all the same."""
        sessions = gateway.room.sessions
        before = await refresh_token(gateway, session_id)
        await cloud.pull("POST", "/keys/rotate", {})
        await cloud.fault("/auth/v1/.well-known/*", times=None, kind="status", status=503)
        for minutes in (62, 1, 1):  # two generations behind would kill the session
            cloud.clock.pass_(minutes=minutes)
            await cloud.pull("DELETE", "/requests")
            assert (await sessions.identify(header(session_id))).email == ADA
            before, last = await refresh_token(gateway, session_id), before
            assert before != last
        await cloud.heal()
        cloud.clock.pass_(minutes=2)
        await until(lambda: refreshed(sessions, session_id, cloud))
