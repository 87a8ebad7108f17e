"""Personal access tokens: shown once, kept as a hash, for what they were made for, until they end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.session import personal
from gateway.session.identity import NotSignedIn, OutOfScope
from gateway.session.personal import PersonalTokens, Scope, TooManyTokens
from localcloud.database import Database
from provisioner.instance import UserId
from provisioner.store.database import connect
from tests.gateway.session.stage import Cloud, MovableClock, Replica, until
from tests.gateway.session.test_watch import listening

ADA = UserId(uuid4())
BOTH = frozenset(Scope)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Any]:
    async with connect(database.dsn) as pool:
        yield pool


@pytest.fixture
async def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def tokens(pool: Any, clock: MovableClock) -> PersonalTokens:
    return PersonalTokens(pool, clock)


async def issue(tokens: PersonalTokens, user: UserId = ADA, **given: Any) -> str:
    usual: dict[str, Any] = {"name": "cron", "scopes": BOTH, "lifetime": timedelta(days=90)}
    text, _ = await tokens.issue(user, "ada@example.com", **(usual | given))
    return text


async def test_a_token_says_whose_it_is_and_what_for(tokens: PersonalTokens, pool: Any) -> None:
    text = await issue(tokens, scopes=frozenset({Scope.READ}))
    for fresh in (tokens, PersonalTokens(pool, MovableClock())):
        who = await fresh.verify(text)
        assert (who.user_id, who.email) == (ADA, "ada@example.com")
        who.require("read")
        with pytest.raises(OutOfScope):
            who.require("app")


async def test_a_token_is_nobody_at_the_account_pages(gateway: Replica) -> None:
    """Whoever reads an Authorization header there one day: the room behind it knows no tokens."""
    shown = f"Bearer {await issue(gateway.room.personal)}"
    assert (await gateway.room.sessions.identify([], shown)).user_id == ADA
    with pytest.raises(NotSignedIn):
        await gateway.room.account_sessions.identify([], shown)


async def test_the_table_alone_opens_nothing(tokens: PersonalTokens, pool: Any) -> None:
    text = await issue(tokens)
    row = await pool.fetchrow("select * from gateway.access_tokens")
    secret = text.rpartition("_")[2] if "_" not in text[-43:] else text[-43:]
    assert not any(secret[at : at + 6] in str(dict(row)) for at in range(38))
    assert len(row["secret_hash"]) == 32


async def test_it_ends_at_its_time_also_in_memory(tokens: PersonalTokens, clock: MovableClock) -> None:
    text = await issue(tokens, lifetime=timedelta(days=7))
    await tokens.verify(text)
    clock.pass_(days=7, seconds=1)
    with pytest.raises(NotSignedIn):
        await tokens.verify(text)
    assert await tokens.of_user(ADA) == []


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=-1), timedelta(days=366)])
async def test_no_token_lives_longer_than_a_year(tokens: PersonalTokens, lifetime: timedelta) -> None:
    with pytest.raises(ValueError, match="within a year"):
        await issue(tokens, lifetime=lifetime)


async def test_nobody_but_the_owner_revokes_it(tokens: PersonalTokens) -> None:
    text = await issue(tokens)
    (token,) = await tokens.of_user(ADA)
    assert not await tokens.revoke(UserId(uuid4()), token.id)
    await tokens.verify(text)
    assert await tokens.revoke(ADA, token.id)
    with pytest.raises(NotSignedIn):
        await tokens.verify(text)


async def test_one_has_so_many_and_no_more(tokens: PersonalTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "MOST_PER_USER", 2)
    for _ in range(2):
        await issue(tokens)
    with pytest.raises(TooManyTokens):
        await issue(tokens)
    await issue(tokens, UserId(uuid4()))


async def test_a_guess_costs_no_second_query_and_leaves_no_secret_in_the_log(tokens: PersonalTokens, pool: Any) -> None:
    good = await issue(tokens)
    bad = good[:-43] + "A" * 43
    with capture_logs() as logs:
        with pytest.raises(NotSignedIn):
            await tokens.verify(bad)
        await pool.close()
        with pytest.raises(NotSignedIn):
            await tokens.verify(bad)
    assert "A" * 43 not in str(logs)
    assert [entry["event"] for entry in logs] == ["token_refused"]
    assert (await tokens.verify(good)).user_id == ADA  # the bad one forgot nothing of the good one


async def test_last_use_is_seen(tokens: PersonalTokens, clock: MovableClock) -> None:
    text = await issue(tokens)
    assert (await tokens.of_user(ADA))[0].last_used_at is None
    await tokens.verify(text)
    await tokens.write_used()
    first = (await tokens.of_user(ADA))[0].last_used_at
    clock.pass_(hours=2)
    await tokens.verify(text)
    await tokens.write_used()
    last = (await tokens.of_user(ADA))[0].last_used_at
    assert first
    assert last
    assert last - first >= timedelta(hours=2)


async def test_a_revocation_is_heard_by_every_replica(cloud: Cloud, gateway: Replica) -> None:
    """The database calls it out; the other replica's memory forgets the token."""
    text = await issue(gateway.room.personal)
    await gateway.room.personal.verify(text)
    work = asyncio.ensure_future(gateway.room.watch(cloud.announced.hear))
    connection = await asyncpg.connect(cloud.dsn)

    async def refused() -> bool:
        try:
            await gateway.room.personal.verify(text)
        except NotSignedIn:
            return True
        return False

    async with listening(gateway, cloud):
        assert not await refused()
        await connection.execute("delete from gateway.access_tokens")
        await until(refused)
    await connection.close()
    work.cancel()
    await asyncio.wait({work})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.text().map(lambda text: personal.PREFIX + text) | st.from_regex(r"jv_pat_[a-z0-9]{12}_[A-Za-z0-9_-]{43}\Z"))
def test_nothing_that_anybody_makes_up_is_let_in_or_breaks_it(text: str) -> None:
    """Whatever is sent: refused, never an error of another kind."""

    class Nobody:
        async def fetchrow(self, *_: object) -> None:
            return None

    async def ask() -> None:
        tokens = PersonalTokens(Nobody(), MovableClock())
        tokens._read = _none  # type: ignore[method-assign]
        with pytest.raises(NotSignedIn):
            await tokens.verify(text)

    asyncio.run(ask())


async def _none(_: str) -> None:
    return None
