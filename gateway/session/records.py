"""Sessions in Postgres, their tokens sealed. Thin: rows in and out, failures in this room's words."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from gateway.session.claims import Claims
from gateway.session.cookie import Realm
from gateway.session.identity import Identity, SignInUnavailable
from gateway.session.supabase import Granted
from gateway.session.vault import Unsealable, Vault
from provisioner.instance import UserId
from provisioner.store.database import queries

ANSWER_WITHIN: Final = timedelta(seconds=8)
"""For one query, waiting for a free connection included: asyncpg alone would wait for one without end."""
PATIENCE: Final = timedelta(seconds=3)
"""The same where memory has an answer too. Longer makes everybody wait when the database hangs."""
LOCK_WAIT: Final = timedelta(seconds=10)
"""Longer than a call to Supabase, so that who waits for another replica's refresh gets its outcome."""
# Written by Supabase itself. What users and operators may write can be large, or hold what jsonb cannot (U+0000).
_KEPT = ("iss", "sub", "aud", "role", "aal", "amr", "session_id", "iat", "exp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row, opened."""

    id_hash: bytes
    user_id: UserId
    supabase_session_id: UUID
    email: str
    granted: Granted
    issued_at: datetime
    access_expires_at: datetime
    expires_at: datetime
    ip: str | None

    @property
    def identity(self) -> Identity:
        return Identity(
            user_id=self.user_id,
            email=self.email,
            supabase_session_id=self.supabase_session_id,
            session=self.id_hash,
            expires_at=self.access_expires_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A deleted row: whose it was, and what is needed to end the session at Supabase too (None: not readable)."""

    user_id: UserId
    access_token: str | None = field(repr=False)
    access_expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What users may see of a session of theirs."""

    id_hash: bytes
    realm: Realm
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    user_agent: str | None
    ip: str | None


class Records:
    """The table of sessions. Every call may raise SignInUnavailable."""

    def __init__(self, pool: asyncpg.Pool, vault: Vault) -> None:
        """`pool` stays the caller's to close."""
        self._pool, self._vault = pool, vault
        self._sql = queries("sessions")

    async def insert(
        self,
        id_hash: bytes,
        claims: Claims,
        granted: Granted,
        *,
        now: datetime,
        expires_at: datetime,
        user_agent: str | None,
        ip: str | None,
        realm: Realm = Realm.PUBLIC,
    ) -> Record:
        async with in_words():
            await self._sql.insert_session(
                self._pool,
                **self._columns(id_hash, claims, granted),
                user_id=claims.user_id,
                now=now,
                expires_at=expires_at,
                user_agent=user_agent,
                ip=ip,
                realm=realm,
            )
        return _record(id_hash, claims, granted, expires_at=expires_at, ip=ip)

    async def read(self, id_hash: bytes, *, within: timedelta = ANSWER_WITHIN) -> Record | None:
        async with in_words(within):
            return self._open(await self._sql.read_session(self._pool, id_hash=id_hash))

    @asynccontextmanager
    async def locked(self, id_hash: bytes) -> AsyncIterator["LockedRecord | None"]:
        """The row, locked against every other replica until the block ends; what it wrote is committed then.

        An exception out of the block undoes its writes. None if there is no such row.
        """
        async with (
            in_words(ANSWER_WITHIN + LOCK_WAIT * 2),
            self._pool.acquire() as connection,
            connection.transaction(),
        ):
            await self._sql.limit_lock_wait(connection, limit=f"{LOCK_WAIT.total_seconds():.0f}s")
            record = self._open(await self._sql.lock_session(connection, id_hash=id_hash))
            yield LockedRecord(record, self, self._sql, connection) if record is not None else None

    async def delete(self, id_hash: bytes) -> Ended | None:
        """The session that ended now; None if it was gone already. Every replica hears of it."""
        async with in_words():
            row = await self._sql.delete_session(self._pool, id_hash=id_hash)
        if row is None:
            return None
        return Ended(
            user_id=UserId(row["user_id"]),
            access_token=self._unseal(row["access_token"], id_hash),
            access_expires_at=row["access_expires_at"],
        )

    async def of_user(self, user_id: UserId, *, now: datetime) -> Sequence[Seen]:
        """The user's sessions, the one used last first."""
        async with in_words():
            rows = self._sql.sessions_of_user(self._pool, user_id=user_id, now=now)
            return [Seen(**{**row, "realm": Realm(row["realm"])}) async for row in rows]

    async def is_users(self, id_hash: bytes, user_id: UserId) -> bool:
        async with in_words():
            return bool(await self._sql.session_is_users(self._pool, id_hash=id_hash, user_id=user_id))

    async def sign_out_everywhere(self, user_id: UserId, *, now: datetime) -> None:
        """End every session of the user, and every access token that was given out before `now`."""
        async with in_words():
            await self._sql.sign_out_everywhere(self._pool, user_id=user_id, now=now)

    async def see(
        self,
        seen: Mapping[bytes, datetime],
        *,
        idle: timedelta,
        absolute: timedelta,
        within: timedelta = ANSWER_WITHIN,
    ) -> None:
        """Write when sessions were last used, and move their sliding end."""
        async with in_words(within):
            await self._sql.see_sessions(
                self._pool, hashes=list(seen), ats=list(seen.values()), idle=idle, absolute=absolute
            )

    async def sweep(self, *, now: datetime) -> None:
        """Delete some of the sessions whose life is over."""
        async with in_words():
            await self._sql.sweep_sessions(self._pool, now=now)

    def seal(self, text: str, id_hash: bytes) -> bytes:
        return self._vault.seal(text.encode(), about=id_hash)

    def _columns(self, id_hash: bytes, claims: Claims, granted: Granted) -> dict[str, object]:
        return {
            "id_hash": id_hash,
            "supabase_session_id": claims.supabase_session_id,
            "email": claims.email,
            "access_token": self.seal(granted.access_token, id_hash),
            "refresh_token": self.seal(granted.refresh_token, id_hash),
            "access_expires_at": claims.expires_at,
            "claims": json.dumps({name: claims.all[name] for name in _KEPT if name in claims.all}),
        }

    def _open(self, row: Any) -> Record | None:
        if row is None:
            return None
        id_hash = row["id_hash"]
        access, refresh = self._unseal(row["access_token"], id_hash), self._unseal(row["refresh_token"], id_hash)
        if access is None or refresh is None or row["supabase_session_id"] is None:
            return None  # its key was retired: as good as no session
        return Record(
            id_hash=id_hash,
            user_id=UserId(row["user_id"]),
            supabase_session_id=row["supabase_session_id"],
            email=row["email"],
            granted=Granted(access, refresh),
            issued_at=datetime.fromtimestamp(json.loads(row["claims"])["iat"], row["access_expires_at"].tzinfo),
            access_expires_at=row["access_expires_at"],
            expires_at=row["expires_at"],
            ip=row["ip"],
        )

    def _unseal(self, sealed: bytes, id_hash: bytes) -> str | None:
        try:
            return self._vault.open(sealed, about=id_hash).decode()
        except Unsealable:
            return None


class LockedRecord:
    """A row that nobody else may change now, and the ways to change it."""

    def __init__(self, record: Record, records: Records, sql: Any, connection: Any) -> None:
        self.record = record
        self._records, self._sql, self._connection = records, sql, connection

    async def renew(self, claims: Claims, granted: Granted) -> Record:
        columns = self._records._columns(self.record.id_hash, claims, granted)
        await self._sql.renew_session(self._connection, **columns)
        return _record(self.record.id_hash, claims, granted, expires_at=self.record.expires_at, ip=self.record.ip)

    async def keep_refresh_token(self, granted: Granted) -> None:
        """Keep what may not get lost of tokens that could not be checked."""
        sealed = self._records.seal(granted.refresh_token, self.record.id_hash)
        await self._sql.keep_refresh_token(self._connection, id_hash=self.record.id_hash, refresh_token=sealed)

    async def delete(self) -> None:
        await self._sql.delete_session(self._connection, id_hash=self.record.id_hash)

    async def shut_out(self, *, banned: bool, now: datetime) -> None:
        """The account is banned or gone: nothing that was ever given to it opens anything any more."""
        reason = "banned" if banned else "deleted"
        await self._sql.shut_out(self._connection, user_id=self.record.user_id, reason=reason, now=now)


def _record(id_hash: bytes, claims: Claims, granted: Granted, *, expires_at: datetime, ip: str | None) -> Record:
    return Record(
        id_hash=id_hash,
        user_id=claims.user_id,
        supabase_session_id=claims.supabase_session_id,
        email=claims.email,
        granted=granted,
        issued_at=claims.issued_at,
        access_expires_at=claims.expires_at,
        expires_at=expires_at,
        ip=ip,
    )


@asynccontextmanager
async def in_words(within: timedelta = ANSWER_WITHIN) -> AsyncIterator[None]:
    """A block in which the database's failures become SignInUnavailable."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as broken:
        raise SignInUnavailable(f"the database does not answer ({type(broken).__name__})") from broken
