"""What a replica may tell of a session from memory, and until when."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from gateway.session.identity import Reason
from gateway.session.memory import Memory, refresh_at
from gateway.session.records import Record
from gateway.session.supabase import Granted
from provisioner.instance import UserId

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ID = b"h" * 32


def record(*, life: timedelta = timedelta(hours=1), session: timedelta = timedelta(days=14)) -> Record:
    return Record(
        id_hash=ID,
        user_id=UserId(UUID(int=1)),
        supabase_session_id=UUID(int=2),
        email="ada@example.com",
        granted=Granted("a", "r"),
        issued_at=NOW,
        access_expires_at=NOW + life,
        expires_at=NOW + session,
        ip=None,
    )


def remembering(what: Record, *, grace: timedelta = timedelta(minutes=15), size: int = 10) -> Memory:
    memory = Memory(size=size, refresh_before=timedelta(seconds=60), grace=grace)
    memory.remember(what, NOW, epoch=memory.epoch)
    return memory


def at(**later: float) -> datetime:
    return NOW + timedelta(**later)


@pytest.mark.parametrize(
    ("when", "told", "due"),
    [
        (at(), True, False),
        (at(minutes=58, seconds=59), True, False),
        (at(minutes=59), True, True),
        (at(minutes=59, seconds=59), True, True),
        (at(hours=1), False, True),
    ],
)
def test_told_until_its_token_ends_and_due_in_the_last_minute(when: datetime, told: bool, due: bool) -> None:
    memory = remembering(record())
    assert (memory.told(ID, when) is not None) is told
    assert memory.due(ID, when) is due


@pytest.mark.parametrize(
    ("life", "wait"),
    [(timedelta(hours=1), timedelta(minutes=59)), (timedelta(seconds=100), timedelta(seconds=75))],
)
def test_short_lived_tokens_are_refreshed_in_their_last_quarter(life: timedelta, wait: timedelta) -> None:
    assert refresh_at(record(life=life), timedelta(seconds=60)) == NOW + wait


def test_a_session_that_ends_before_its_token_is_told_no_longer() -> None:
    memory = remembering(record(session=timedelta(minutes=5)))
    assert memory.told(ID, at(minutes=5)) is None
    assert memory.postpone(ID, at(minutes=6), timedelta(seconds=5)) is None


def test_an_outage_stretches_what_is_known_but_not_beyond_the_grace() -> None:
    memory = remembering(record())
    for minute in range(15):
        assert memory.told(ID, at(hours=1, minutes=minute)) is None
        assert memory.postpone(ID, at(hours=1, minutes=minute), timedelta(seconds=5)) is not None
        assert memory.told(ID, at(hours=1, minutes=minute, seconds=4)) is not None
        assert not memory.due(ID, at(hours=1, minutes=minute, seconds=4))
    assert memory.postpone(ID, at(hours=1, minutes=15), timedelta(seconds=5)) is None


def test_an_ended_session_never_comes_back() -> None:
    """Not even by a read that began before it ended."""
    memory = remembering(record())
    memory.end(ID, Reason.UNKNOWN)
    memory.remember(record(), NOW, epoch=memory.epoch)
    assert memory.told(ID, NOW) is None
    assert memory.gone(ID) is Reason.UNKNOWN


def test_what_was_read_before_everything_was_dropped_is_not_kept() -> None:
    memory = remembering(record())
    before = memory.epoch
    memory.drop_all()
    memory.remember(record(), NOW, epoch=before)
    assert memory.told(ID, NOW) is None
    memory.remember(record(), NOW, epoch=memory.epoch)
    assert memory.told(ID, NOW) is not None


def test_hits_are_collected_and_put_back_without_going_backwards() -> None:
    memory = remembering(record())
    memory.told(ID, at(minutes=1))
    taken = memory.take_seen()
    assert taken == {ID: at(minutes=1)}
    memory.told(ID, at(minutes=2))
    memory.put_back(taken)
    assert memory.take_seen(ID) == {ID: at(minutes=2)}
    assert memory.take_seen() == {}
