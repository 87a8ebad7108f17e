"""Who may come in: the rule as a table, the cap under a rush, the operator's word, and what is remembered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.session.admissions import Admissions, Mode, NotAdmitted, Rules, Standing, decide
from gateway.session.identity import SignInUnavailable
from localcloud.database import Database
from provisioner.instance import UserId
from provisioner.store.database import connect
from tests.gateway.session.stage import ADA, Browser, Cloud, MovableClock, body, replica, rows

ALLOW = frozenset({"ada@example.com", "friends.example"})
IN, WAIT = Standing.ADMITTED, Standing.WAITING


@pytest.mark.parametrize(
    ("mode", "known", "email", "paid", "standing"),
    [
        (Mode.OPEN, None, "x@y.example", False, IN),
        (Mode.OPEN, WAIT, "x@y.example", False, IN),  # the doors were opened since
        (Mode.OPEN, Standing.REFUSED, "ada@example.com", True, Standing.REFUSED),
        (Mode.OPEN, Standing.SUSPENDED, "ada@example.com", True, Standing.SUSPENDED),
        (Mode.INVITE, None, "x@y.example", True, WAIT),
        (Mode.INVITE, IN, "x@y.example", False, IN),
        (Mode.INVITE, None, "ada@example.com", False, IN),
        (Mode.ALLOW_LIST, None, "ADA@Example.com", False, IN),
        (Mode.ALLOW_LIST, None, "bob@friends.example", False, IN),
        (Mode.ALLOW_LIST, None, "bob@not.friends.example", False, WAIT),
        (Mode.ALLOW_LIST, None, "bob@notfriends.example", False, WAIT),
        (Mode.ALLOW_LIST, None, "friends.example", False, IN),
        (Mode.ALLOW_LIST, None, "", False, WAIT),
        (Mode.PAID, None, "x@y.example", False, WAIT),
        (Mode.PAID, None, "x@y.example", True, IN),
        (Mode.PAID, WAIT, "x@y.example", True, IN),
    ],
)
def test_the_rule(mode: Mode, known: Standing | None, email: str, paid: bool, standing: Standing) -> None:
    assert decide(Rules(mode=mode, allow=ALLOW), known, email=email, paid=paid) is standing


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Any]:
    async with connect(database.dsn, max_size=8) as pool:
        yield pool


def somebody() -> UserId:
    return UserId(uuid4())


async def test_a_rush_fills_exactly_the_places_there_are(pool: Any) -> None:
    """Twenty sign up in the same moment; the cap of five holds."""
    admissions = Admissions(pool, MovableClock(), Rules(cap=5))
    standings = await asyncio.gather(*(admissions.ask(somebody(), "x@y.example") for _ in range(20)))
    assert sorted(standings).count(IN) == 5
    assert standings.count(WAIT) == 15


async def test_who_was_let_in_stays_when_the_rule_changes(pool: Any) -> None:
    ada = somebody()
    assert await Admissions(pool, MovableClock(), Rules()).ask(ada, ADA) is IN
    closed = Admissions(pool, MovableClock(), Rules(mode=Mode.INVITE, cap=0))
    assert await closed.ask(ada, ADA) is IN
    assert await closed.ask(somebody(), ADA) is WAIT


async def test_the_operator_lets_in_beyond_the_cap_and_throws_out(pool: Any) -> None:
    clock = MovableClock()
    admissions, ada, bob = Admissions(pool, clock, Rules(mode=Mode.INVITE, cap=0)), somebody(), somebody()
    for user in (ada, bob):
        assert await admissions.ask(user, f"{user}@x.example") is WAIT
        clock.pass_(seconds=1)
    waiting = await admissions.page(status=WAIT, after=None, limit=1)
    assert [each.user_id for each in waiting] == [ada]
    assert [each.user_id for each in await admissions.page(status=WAIT, after=ada, limit=9)] == [bob]
    await admissions.decide(ada, IN, by="operator:grace")
    await admissions.check(ada, "")
    await admissions.decide(ada, Standing.SUSPENDED, by="operator:grace")
    admissions.heard_change(ada)
    with pytest.raises(NotAdmitted) as refused:
        await admissions.check(ada, "")
    assert refused.value.standing is Standing.SUSPENDED
    assert await admissions.decide(somebody(), IN, by="operator:grace") is None
    audit = await pool.fetch("select actor, action from gateway.audit_log where user_id = $1 order by id", ada)
    assert [tuple(row) for row in audit] == [
        ("operator:grace", "signup_admitted"),
        ("operator:grace", "signup_suspended"),
    ]


async def test_a_known_user_costs_no_query(pool: Any) -> None:
    """The check is made once and remembered; it is no part of a request."""
    ada = somebody()
    admissions = Admissions(pool, MovableClock(), Rules())
    await admissions.check(ada, ADA)
    await pool.close()
    await admissions.check(ada, ADA)


async def test_who_was_let_in_goes_on_for_a_quarter_of_an_hour_without_the_database(database: Database) -> None:
    """Unless news came that their standing changed. Who asks for the first time has to wait."""
    clock, ada, bob = MovableClock(), somebody(), somebody()
    async with connect(database.dsn) as pool:
        admissions = Admissions(pool, clock, Rules())
        for user in (ada, bob):
            await admissions.check(user, ADA)
    clock.pass_(minutes=1, seconds=1)  # the pool is closed: nobody answers any more
    for _ in range(13):
        await admissions.check(ada, ADA)
        clock.pass_(minutes=1)
    await admissions.check(bob, ADA)
    admissions.heard_change(bob)
    for who in (bob, somebody()):
        with pytest.raises(SignInUnavailable):
            await admissions.check(who, ADA)
    await admissions.check(ada, ADA)
    clock.pass_(minutes=2)
    with pytest.raises(SignInUnavailable):
        await admissions.check(ada, ADA)


@pytest.fixture
async def closed(cloud: Cloud) -> AsyncIterator[Browser]:
    """A browser before a gateway that lets in nobody by itself."""
    async with replica(cloud, rules=Rules(mode=Mode.INVITE)) as gateway, Browser(gateway.origin) as browser:
        yield browser


async def test_who_is_not_let_in_reads_why_and_gets_no_session(closed: Browser, database: Database) -> None:
    """I sign in at Google and land on a page that says I am on the waiting list; then on one that lets me in."""
    told = await closed.sign_in(ADA)
    assert (told.status_code, body(told)["kind"]) == (403, "waiting_list")
    assert closed.session_id == ""
    assert await rows(database) == []
    connection = await asyncpg.connect(database.dsn)
    for status, kind in (("refused", "refused"), ("suspended", "suspended"), ("waiting", "waiting_list")):
        await connection.execute("update gateway.signups set status = $1", status)
        assert body(await closed.sign_in(ADA))["kind"] == kind
    await connection.execute("update gateway.signups set status = 'admitted'")
    assert (await closed.sign_in(ADA)).status_code == 200
    user_id = await connection.fetchval("select user_id from gateway.signups")
    await connection.execute("insert into gateway.deletions (user_id, next_try_at) values ($1, now())", user_id)
    closed.http.cookies.clear()  # so many sign-ins in a row would count as going round in circles
    assert body(await closed.sign_in(ADA))["kind"] == "leaving"
    await connection.close()
