"""Visits of operators as sessions of their own kind: they end in time, on every replica, by themselves."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from gateway.session.cookie import Realm, hash_of, new_session_id
from gateway.session.identity import NotSignedIn
from localcloud.database import Database
from provisioner.instance import UserId
from tests.gateway.session.stage import Cloud, Replica, header, replica, until

ADA = UserId(uuid4())


@pytest.fixture
async def visit(gateway: Replica, database: Database) -> str:
    """The cookie of an operator who is at Ada's Machine for ten minutes."""
    connection = await asyncpg.connect(database.dsn)
    await connection.execute(
        "insert into public.user_instances (user_id, email, state, app_name, machine_name, region, image)"
        " values ($1, 'ada@example.com', 'stopped', 'jarvis', 'ada', 'fra', 'golden')",
        ADA,
    )
    await connection.close()
    visits = gateway.room.visits
    ticket, _ = await visits.grant(ADA, operator="sam", reason="to help with the chat", minutes=10)
    cookie = new_session_id()
    assert await visits.open(ticket, hash_of(cookie)) is not None
    return cookie


async def test_a_visit_is_told_from_memory_and_names_the_operator(gateway: Replica, visit: str) -> None:
    who = await gateway.room.sessions.identify(header(visit))
    assert (who.user_id, who.email, who.operator) == (ADA, "ada@example.com", "sam")
    assert gateway.room.sessions.peek(visit) is who
    with pytest.raises(NotSignedIn):
        await gateway.room.account_sessions.identify([f"jarvis-account={visit}"])


async def test_no_visit_is_anybody_at_the_account_pages(gateway: Replica, visit: str) -> None:
    """Not even one that was opened under an id of that origin."""
    ticket, _ = await gateway.room.visits.grant(ADA, operator="sam", reason="to look around", minutes=10)
    cookie = new_session_id()
    assert await gateway.room.visits.open(ticket, hash_of(cookie, Realm.ACCOUNT)) is not None
    with pytest.raises(NotSignedIn):
        await gateway.room.account_sessions.identify([f"jarvis-account={cookie}"])


async def test_a_visit_ends_by_itself_and_cuts_what_it_opened(
    cloud: Cloud, gateway: Replica, visit: str, database: Database
) -> None:
    """To the minute, on every replica that knows it, while its tab is still open; and it is written down."""
    async with replica(cloud) as other:
        ended: dict[str, list[bytes | None]] = {"one": [], "two": []}
        works = []
        for name, each in (("one", gateway), ("two", other)):
            each.room.sessions.when_ended(ended[name].append)
            works.append(asyncio.ensure_future(each.room.watch(cloud.announced.hear)))
            await each.room.sessions.identify(header(visit))
        cloud.clock.pass_(minutes=9, seconds=50)
        for each in (gateway, other):
            assert (await each.room.sessions.identify(header(visit))).operator == "sam"
        cloud.clock.pass_(seconds=11)
        await until(lambda: all(hash_of(visit) in told for told in ended.values()), within=20)
        for each in (gateway, other):
            with pytest.raises(NotSignedIn):
                await each.room.sessions.identify(header(visit))
        connection = await asyncpg.connect(database.dsn)

        async def written() -> bool:
            return await connection.fetchval("select ended_by from gateway.visits") == "time"

        await until(written, within=20)
        actions = await connection.fetch("select action from gateway.audit_log order by id")
        assert [row["action"] for row in actions] == ["visit_granted", "visit_opened", "visit_ended"]
        await connection.close()
        for work in works:
            work.cancel()
        await asyncio.wait(works)


async def test_a_visit_whose_time_is_over_opens_nothing_though_nobody_wrote_its_end(cloud: Cloud, visit: str) -> None:
    """Every replica was away at that minute; the one that comes now reads the row as it was left."""
    cloud.clock.pass_(minutes=10, seconds=1)
    async with replica(cloud) as late:
        with pytest.raises(NotSignedIn):
            await late.room.sessions.identify(header(visit))


async def test_with_nothing_left_to_visit_a_visit_opens_nothing(cloud: Cloud, visit: str, database: Database) -> None:
    """The Instance was deleted meanwhile: nobody makes a new one by having been there."""
    admin = await asyncpg.connect(database.admin_dsn)
    await admin.execute("delete from public.user_instances where user_id = $1", ADA)
    await admin.close()
    async with replica(cloud) as late:
        with pytest.raises(NotSignedIn):
            await late.room.sessions.identify(header(visit))


async def test_a_ticket_is_good_for_five_minutes(cloud: Cloud, gateway: Replica, visit: str) -> None:
    visits = gateway.room.visits
    ticket, _ = await visits.grant(ADA, operator="sam", reason="to help with the chat", minutes=10)
    cloud.clock.pass_(minutes=5, seconds=1)
    assert await visits.of_ticket(ticket) is None
    assert await visits.open(ticket, hash_of(new_session_id())) is None
