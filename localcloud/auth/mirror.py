"""A copy of users and sessions in Postgres' `auth` schema, where foreign keys and triggers of others find them."""

import json
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import asyncpg

from localcloud.auth.errors import DatabaseRefused
from localcloud.auth.records import Session, User
from localcloud.auth.tokens import timestamp

log: Final = logging.getLogger(__name__)
PATIENCE_S: Final = 5.0
# What says "no" to these rows, rather than "I am not there".
VERDICTS: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.RaiseError)


class Mirror(Protocol):
    """Where else users and sessions are written. Raises DatabaseRefused if that place objects to the rows."""

    async def user(self, user: User) -> None: ...
    async def session(self, session: Session) -> None: ...
    async def forget_user(self, user_id: str) -> None: ...
    async def forget_session(self, session_id: str) -> None: ...


class NoMirror:
    """Nowhere else."""

    async def user(self, user: User) -> None: ...
    async def session(self, session: Session) -> None: ...
    async def forget_user(self, user_id: str) -> None: ...
    async def forget_session(self, session_id: str) -> None: ...


class PostgresMirror:
    """Rows in `auth.users` and `auth.sessions`, as many of their columns as that database has.

    Constraints and triggers are heeded; an absent or broken Postgres is logged and otherwise ignored.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._columns: dict[str, list[str]] = {}

    async def user(self, user: User) -> None:
        row = {
            "id": user.id,
            "aud": "authenticated",
            "role": user.role,
            "email": user.email,
            "email_confirmed_at": user.email_confirmed_at,
            "last_sign_in_at": user.last_sign_in_at,
            "raw_app_meta_data": user.app_metadata,
            "raw_user_meta_data": user.user_metadata,
            "banned_until": user.banned_until,
            "deleted_at": user.deleted_at,
            "is_anonymous": False,
            "is_sso_user": False,
            "created_at": user.created_at,
            "updated_at": user.updated_at,
        }
        await self._put("users", row)

    async def session(self, session: Session) -> None:
        row = {
            "id": session.id,
            "user_id": session.user_id,
            "aal": "aal1",
            "created_at": session.created_at,
            "updated_at": session.updated_at,
            "refreshed_at": session.refreshed_at,
            "not_after": session.not_after,
            "user_agent": session.user_agent,
            "ip": session.ip,
        }
        await self._put("sessions", row)

    async def forget_user(self, user_id: str) -> None:
        await self._run("DELETE FROM auth.users WHERE id = $1::text::uuid", user_id)

    async def forget_session(self, session_id: str) -> None:
        await self._run("DELETE FROM auth.sessions WHERE id = $1::text::uuid", session_id)

    async def _put(self, table: str, row: dict[str, Any]) -> None:
        names = [name for name in await self._columns_of(table) if name in row]
        if "id" not in names:
            return
        # Through jsonb, so that Postgres itself casts to whatever types its columns have (inet, enums, uuid).
        sql = (
            f"INSERT INTO auth.{table} ({', '.join(names)})"  # noqa: S608  names checked against the catalogue
            f" SELECT {', '.join(names)} FROM jsonb_populate_record(NULL::auth.{table}, $1::text::jsonb)"
            f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in names)}"
        )
        await self._run(sql, json.dumps(row, default=timestamp))

    async def _columns_of(self, table: str) -> list[str]:
        if table not in self._columns:
            rows = await self._run(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = 'auth' AND table_name = $1 AND is_generated = 'NEVER'",
                table,
            )
            if not rows:
                return []
            self._columns[table] = [row["column_name"] for row in rows]
        return self._columns[table]

    async def _run(self, sql: str, *args: object) -> list[Any]:
        try:
            return list(await self._pool.fetch(sql, *args, timeout=PATIENCE_S))
        except VERDICTS as error:
            raise DatabaseRefused(error.sqlstate, str(error), error.detail) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            log.warning("auth_mirror_failed", extra={"error": type(error).__name__, "cause": str(error)})
            return []


@asynccontextmanager
async def open_mirror(dsn: str | None, users: Iterable[User], sessions: Iterable[Session]) -> AsyncIterator[Mirror]:
    """A mirror of that database, first told what is already known; none if there is no `dsn`."""
    if dsn is None:
        yield NoMirror()
        return
    # min_size 0: nothing is connected yet, so a Postgres that starts later is found later.
    async with asyncpg.create_pool(dsn, min_size=0, max_size=2, timeout=PATIENCE_S) as pool:
        mirror = PostgresMirror(pool)
        for user in users:
            await _kindly(mirror.user(user))
        for session in sessions:
            await _kindly(mirror.session(session))
        yield mirror


async def _kindly(write: Any) -> None:
    """At start nobody waits for an answer, so an objection is only noted."""
    try:
        await write
    except DatabaseRefused as refused:
        log.warning("auth_mirror_refused", extra={"sqlstate": refused.sqlstate, "cause": refused.message})
