"""What a replica keeps in memory: who is ready, who was here, who waits."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.activity import Activity
from gateway.directory import BACKSTOP_S, Directory
from gateway.errors import TooManyHeld
from gateway.places import Places, Room
from localcloud.database import Database
from provisioner.instance import Event, Instance, State, UserId
from provisioner.lifecycle import Visitor
from provisioner.ports import Change
from provisioner.store.changes import Announcements
from provisioner.store.database import connect
from provisioner.store.postgres import PostgresStore
from tests.parts.back import somebody
from tests.parts.clock import ManualClock
from tests.parts.instances import ADA, GRACE, THEN, an_instance
from tests.parts.line import line_to


@pytest.fixture
async def store(database: Database) -> AsyncIterator[PostgresStore]:
    clock = ManualClock()
    async with connect(database.dsn) as pool:
        yield PostgresStore(pool, clock, announced=Announcements(database.dsn, clock))


async def an_active(store: PostgresStore, visitor: Visitor) -> Instance:
    created = await store.create(
        visitor.user_id,
        email=visitor.email,
        app_name="app",
        machine_name="m",
        region="iad",
        image="golden",
        actor="test",
    )
    await store._pool.execute("update user_instances set machine_id = 'id', private_ip = '127.1.1.1'")
    return await store.move(created.user_id, State.PROVISIONING, Event.READY, actor="test")


class TestDirectory:
    async def test_a_known_instance_costs_no_query(self, store: PostgresStore) -> None:
        directory, ada = Directory(store, ManualClock()), somebody()
        assert await directory.find(ada.user_id) is None
        active = await an_active(store, ada)
        assert await directory.find(ada.user_id) == active
        assert directory.ready(ada.user_id) == active

    async def test_only_what_is_ready_is_kept(self, store: PostgresStore) -> None:
        directory = Directory(store, ManualClock())
        directory.learn(an_instance())
        directory.learn(an_instance(state=State.SUSPENDED))
        assert directory.ready(ADA) is None

    async def test_an_entry_that_was_missed_by_every_notice_dies_of_age(self, store: PostgresStore) -> None:
        clock = ManualClock()
        directory = Directory(store, clock)
        directory.learn(an_instance())
        await clock.advance(seconds=BACKSTOP_S + 1)
        assert directory.ready(ADA) is None

    async def test_another_replicas_step_is_heard(self, store: PostgresStore) -> None:
        """A Machine put to sleep by another replica gets no more of our requests."""
        directory, ada = Directory(store, ManualClock()), somebody()
        watching = asyncio.create_task(directory.watch())
        try:
            async with asyncio.timeout(10):
                active = await an_active(store, ada)
                while directory.ready(ada.user_id) is None:
                    directory.learn(active)
                    await asyncio.sleep(0)
                async for word in store.changes():
                    if word is None:
                        break
                await store.move(ada.user_id, State.ACTIVE, Event.DRAIN, actor="other")
                while directory.ready(ada.user_id) is not None:  # noqa: ASYNC110  news comes from Postgres
                    await asyncio.sleep(0)
        finally:
            watching.cancel()

    async def test_how_somebody_was_put_to_sleep_is_remembered_until_anything_else_is_heard(
        self, store: PostgresStore
    ) -> None:
        """Whoever wakes them need not ask for the row."""
        directory, ada = Directory(store, ManualClock()), somebody()
        await an_active(store, ada)
        watching = asyncio.create_task(directory.watch())

        async def heard(state: State | None) -> None:
            while directory.asleep(ada.user_id) is not state:  # noqa: ASYNC110  news comes from Postgres
                await asyncio.sleep(0)

        try:
            async with asyncio.timeout(10):
                async for word in store.changes():
                    if word is None:
                        break
                assert directory.asleep(ada.user_id) is None
                for state, event in (
                    (State.ACTIVE, Event.DRAIN),
                    (State.DRAINING, Event.SUSPEND),
                    (State.SUSPENDING, Event.ASLEEP),
                ):
                    await store.move(ada.user_id, state, event, actor="other")
                await heard(State.SUSPENDED)
                assert directory.ready(ada.user_id) is None
                await store.move(ada.user_id, State.SUSPENDED, Event.STOP, actor="other")
                await heard(None)
                await store.move(ada.user_id, State.STOPPING, Event.ASLEEP, actor="other")
                await heard(State.STOPPED)
                await store.move(ada.user_id, State.STOPPED, Event.WAKE, actor="other")
                await heard(None)
        finally:
            watching.cancel()

    async def test_after_a_lost_connection_nobody_is_known_to_sleep(self, store: PostgresStore) -> None:
        """They may have been woken while nothing could be heard."""
        directory = Directory(store, ManualClock())
        directory._note_sleep(Change(ADA, State.SUSPENDED))
        assert directory.asleep(ADA) is State.SUSPENDED
        watching = asyncio.create_task(directory.watch())
        async with asyncio.timeout(10):
            while directory.asleep(ADA) is not None:  # noqa: ASYNC110  listening begins with "some may be missed"
                await asyncio.sleep(0)
        watching.cancel()

    async def test_what_was_read_before_a_notice_is_not_kept(self, store: PostgresStore) -> None:
        ada = somebody()
        await an_active(store, ada)
        directory = Directory(store, ManualClock())
        reading = asyncio.create_task(directory.find(ada.user_id))
        await asyncio.sleep(0)
        directory.drop(ada.user_id)
        assert await reading is not None
        assert directory.ready(ada.user_id) is None

    async def test_while_the_database_is_away_who_was_ready_is_served(self, database: Database) -> None:
        """Signed-in users with a ready Machine keep working; only what was never known cannot be told."""
        clock, ada = ManualClock(), somebody()
        async with connect(database.dsn) as pool:
            store = PostgresStore(pool, clock, announced=Announcements(database.dsn, clock))
            directory = Directory(store, clock)
            active = await an_active(store, ada)
            await directory.find(ada.user_id)
        await clock.advance(minutes=10)  # and the pool is closed
        assert directory.ready(ada.user_id) is None
        assert await directory.find(ada.user_id) == active
        assert directory.ready(ada.user_id) == active
        with pytest.raises(asyncpg.InterfaceError):
            await directory.find(GRACE)

    async def test_while_the_database_says_nothing_who_was_ready_is_served(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It takes connections and queries and answers none: nobody waits until it has confirmed that we gave up."""
        monkeypatch.setattr("gateway.directory.PATIENCE_S", 0.3)
        clock, ada = ManualClock(), somebody()
        async with line_to(database) as (line, far), connect(far.dsn, max_size=2, command_timeout=600) as pool:
            store = PostgresStore(pool, clock, announced=Announcements(far.dsn, clock))
            directory = Directory(store, clock)
            active = await an_active(store, ada)
            await directory.find(ada.user_id)
            await clock.advance(minutes=10)
            line.silent = True
            async with asyncio.timeout(60):
                # More at once than there are connections.
                assert await asyncio.gather(*(directory.find(ada.user_id) for _ in range(5))) == [active] * 5
                with pytest.raises(TimeoutError):
                    await directory.find(GRACE)
            line.silent = False
            assert await directory.find(GRACE) is None


class TestActivity:
    async def test_work_for_a_machine_is_a_reason_while_it_lasts_and_activity_at_both_ends(
        self, store: PostgresStore
    ) -> None:
        """An LLM call that thinks for minutes keeps its Machine awake, though not a byte moves meanwhile."""
        activity = Activity(store, ManualClock(), every_s=2)
        assert activity.working(ADA) is None
        with activity.work(ADA, "an LLM call"), activity.work(ADA, "another one"):
            await activity.flush()
            assert activity.working(ADA) == "another one"
            assert activity.last(ADA) is None
        assert activity.working(ADA) is None
        assert activity.last(ADA) is not None

    async def test_hits_are_written_in_batches(self, store: PostgresStore) -> None:
        ada, clock = somebody(), ManualClock()
        await an_active(store, ada)
        activity = Activity(store, clock, every_s=2)
        await clock.advance(minutes=5)
        activity.touch(ada.user_id)
        assert activity.last(ada.user_id) == clock.now()
        await activity.flush()
        assert activity.last(ada.user_id) is None
        found = await store.find(ada.user_id)
        assert found is not None
        assert found.last_active == clock.now()

    async def test_what_cannot_be_written_is_kept(self, database: Database) -> None:
        """The database is away for a moment: nobody is put to sleep for that."""
        clock = ManualClock()
        async with connect(database.dsn) as pool:
            store = PostgresStore(pool, clock, announced=Announcements(database.dsn, clock))
        activity = Activity(store, clock, every_s=2)
        activity.touch(ADA)
        with pytest.raises(asyncpg.InterfaceError):
            await activity.flush()
        assert activity.last(ADA) == THEN

    async def test_the_last_hits_are_written_on_the_way_out(self, store: PostgresStore) -> None:
        ada, clock = somebody(), ManualClock()
        await an_active(store, ada)
        activity = Activity(store, clock, every_s=2)
        running = asyncio.create_task(activity.run())
        await asyncio.sleep(0)  # it begins to wait
        await clock.advance(seconds=1)
        activity.touch(ada.user_id)
        running.cancel()
        await asyncio.wait({running})
        found = await store.find(ada.user_id)
        assert found is not None
        assert found.last_active == clock.now()


def test_room_for_bodies_is_bounded_too() -> None:
    places = Places(per_user=Room(requests=9, body_bytes=100), total=Room(requests=9, body_bytes=150))
    with places.take(ADA, body_bytes=100):
        with pytest.raises(TooManyHeld), places.take(ADA, body_bytes=1):
            pass
        with places.take(GRACE, body_bytes=50), pytest.raises(TooManyHeld), places.take(GRACE, body_bytes=1):
            pass
        with places.take(GRACE):  # no body, no bytes
            pass
    assert places.held_bytes == 0


def test_places_are_few_and_given_back() -> None:
    places = Places(per_user=Room(requests=2, body_bytes=0), total=Room(requests=3, body_bytes=0))
    with places.take(ADA), places.take(ADA):
        with pytest.raises(TooManyHeld), places.take(ADA):
            pass
        with places.take(GRACE), pytest.raises(TooManyHeld), places.take(UserId(somebody().user_id)):
            pass
        assert places.held == 2
    assert places.held == 0
