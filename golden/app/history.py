"""The conversation on disk. What was said once is there after a restart, a crash or a lost Machine."""

import asyncio
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Role = Literal["user", "assistant"]

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;  -- fsync at each commit: a suspended Machine may never come back
CREATE TABLE IF NOT EXISTS messages (
    id        INTEGER PRIMARY KEY,
    role      TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    text      TEXT NOT NULL,
    said_at   REAL NOT NULL,
    client_id TEXT UNIQUE  -- chosen by the page, so that sending again after a lost connection says it once
);
"""
_ADD = """
INSERT INTO messages (role, text, said_at, client_id) VALUES (?, ?, ?, ?)
ON CONFLICT (client_id) DO NOTHING RETURNING id, role, text, said_at, client_id
"""
_FIND = "SELECT id, role, text, said_at, client_id FROM messages WHERE client_id = ?"
_LAST = "SELECT id, role, text, said_at, client_id FROM messages WHERE id > ? ORDER BY id DESC LIMIT ?"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said. `said_at` is a Unix time."""

    id: int
    role: Role
    text: str
    said_at: float
    client_id: str | None

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        return asdict(self)


class History:
    """Messages in the order they were said. Every call returns only when the disk has it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._one_at_a_time = asyncio.Lock()

    async def add(self, role: Role, text: str, client_id: str | None = None) -> Message:
        """The message as stored; one with a known `client_id` is the same message again, said once."""

        def insert() -> Message:
            values = (role, text, time.time(), client_id)
            # All rows are fetched: an INSERT … RETURNING commits only when it has been read to its end.
            rows = self._database.execute(_ADD, values).fetchall()
            return Message(*(rows or self._database.execute(_FIND, (client_id,)).fetchall())[0])

        async with self._one_at_a_time:
            return await asyncio.to_thread(insert)

    async def last(self, limit: int, *, after: int = 0) -> list[Message]:
        """The last `limit` messages with an id above `after`, oldest first."""

        def select() -> list[Message]:
            return [Message(*row) for row in reversed(self._database.execute(_LAST, (after, limit)).fetchall())]

        async with self._one_at_a_time:
            return await asyncio.to_thread(select)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
