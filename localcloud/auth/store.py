"""Users, sessions and keys in one SQLite file, so that people stay signed in when the laptop restarts."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

from localcloud.auth.records import Flow, Identity, RefreshToken, Session, SigningKey, User

Record = User | Identity | Session | RefreshToken | Flow | SigningKey
R = TypeVar("R", User, Identity, Session, RefreshToken, Flow, SigningKey)

TABLES: Final[dict[type, str]] = {
    User: "users",
    Identity: "identities",
    Session: "sessions",
    RefreshToken: "refresh_tokens",
    Flow: "flows",
    SigningKey: "signing_keys",
}
COLUMNS: Final = {cls: [f.name for f in fields(cls)] for cls in TABLES}
HINTS: Final = {cls: get_type_hints(cls) for cls in TABLES}
TIMES: Final = (datetime, datetime | None)


def _encoded(value: object) -> object:
    match value:
        case datetime():
            # One width for all, or a whole second would sort after its own microseconds.
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case dict():
            return json.dumps(value)
        case _:
            return value


def _decoded(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if hint in TIMES:
        return datetime.fromisoformat(value)
    if hint is bool:
        return bool(value)
    if hint == dict[str, Any]:
        return json.loads(value)
    return value


class Store:
    """One connection, used from one event loop. Each call is a few dozen microseconds, so it simply blocks.

    That also makes every handler atomic between two awaits, which stands in for the real service's row locks.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        # WAL without an fsync per commit: a power cut may cost the last sign-in, never the file.
        self._db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
            + Path(__file__).with_name("schema.sql").read_text()
        )

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside, or none. Must not be held across an await."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def save(self, record: Record) -> None:
        """Insert, or overwrite the row with this id.

        Raises:
            sqlite3.IntegrityError: another row has this e-mail or this Google account.
        """
        cls = type(record)
        names = COLUMNS[cls]
        sql = (
            f"INSERT INTO {TABLES[cls]} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608  own names
            f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in names)}"
        )
        self._db.execute(sql, [_encoded(getattr(record, name)) for name in names])

    def find(self, cls: type[R], **equal: object) -> R | None:
        """The one record whose columns equal these values."""
        return next(iter(self._select(cls, equal, limit=1)), None)

    def all(self, cls: type[R], **equal: object) -> list[R]:
        """Records whose columns equal these values, oldest first."""
        return self._select(cls, equal)

    def page(self, cls: type[R], *, limit: int, offset: int) -> list[R]:
        """Some of all records, oldest first."""
        return self._select(cls, {}, limit=limit, offset=offset)

    def _select(self, cls: type[R], equal: Mapping[str, object], *, limit: int = -1, offset: int = 0) -> list[R]:
        where = " AND ".join(f"{name} = ?" for name in equal) or "1"
        sql = (
            f"SELECT {', '.join(COLUMNS[cls])} FROM {TABLES[cls]} WHERE {where}"  # noqa: S608  own names
            " ORDER BY created_at, rowid LIMIT ? OFFSET ?"
        )
        rows = self._db.execute(sql, [*equal.values(), limit, offset])
        hints = HINTS[cls]
        return [cls(**{n: _decoded(hints[n], v) for n, v in zip(COLUMNS[cls], row, strict=True)}) for row in rows]

    def delete(self, cls: type[R], **equal: object) -> None:
        """Remove matching records and, by the schema, what hangs on them."""
        where = " AND ".join(f"{name} = ?" for name in equal)
        self._db.execute(f"DELETE FROM {TABLES[cls]} WHERE {where}", list(equal.values()))  # noqa: S608  own names

    def count(self, cls: type[R]) -> int:
        (found,) = self._db.execute(f"SELECT count(*) FROM {TABLES[cls]}").fetchone()  # noqa: S608  own names
        return int(found)

    def active_refresh_token(self, session_id: str) -> RefreshToken | None:
        """The newest token of the session that still may be swapped; a fork leaves more than one."""
        alive = self.all(RefreshToken, session_id=session_id, revoked=False)
        return alive[-1] if alive else None

    def revoke_family(self, session_id: str, now: datetime) -> None:
        """No refresh token of this session may be swapped again."""
        self._db.execute(
            "UPDATE refresh_tokens SET revoked = 1, updated_at = ? WHERE session_id = ? AND NOT revoked",
            [_encoded(now), session_id],
        )

    def drop_flows_before(self, moment: datetime) -> None:
        """Sign-ins that were never finished."""
        self._db.execute("DELETE FROM flows WHERE created_at < ?", [_encoded(moment)])
