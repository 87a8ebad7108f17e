"""Personal access tokens: what users give to programs of theirs. `jv_pat_<id>_<secret>`, shown once, stored hashed."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import asyncpg
import structlog
from cachetools import LRUCache, TTLCache

from gateway.session.identity import Identity, NotSignedIn, Reason, SignInUnavailable
from gateway.session.records import in_words
from gateway.session.sender import plain_text
from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.store.database import queries

PREFIX: Final = "jv_pat_"
USUAL_LIFETIME: Final = timedelta(days=90)
LONGEST_LIFETIME: Final = timedelta(days=365)
MOST_PER_USER: Final = 50
MAX_NAME: Final = 80
REMEMBERED: Final = 10_000
BAD_FOR_S: Final = 10.0
"""A token that was refused is refused from memory for so long: guessing must not cost a query each."""

_SHAPE: Final = re.compile(r"jv_pat_(?P<id>[a-z0-9]{12})_(?P<secret>[A-Za-z0-9_-]{43})", re.ASCII)
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
log = structlog.get_logger(__name__)


class Scope(StrEnum):
    """What a token may be used for. A browser's session and Supabase's own tokens may do both."""

    APP = "app"  # everything that the user's Machine answers
    READ = "read"  # how their Instance is: /_gateway/instance and /_gateway/events


class TooManyTokens(Exception):
    """The user has MOST_PER_USER of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalToken:
    """What may be told of a token after it was shown."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Known:
    identity: Identity
    secret_hash: bytes = field(repr=False)


class PersonalTokens:
    """Made, checked, listed and revoked. Used from one event loop; calls may raise SignInUnavailable."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        """`pool` stays the caller's to close."""
        self._pool, self._clock = pool, clock
        self._sql = queries("tokens")
        self._known: LRUCache[str, _Known] = LRUCache(REMEMBERED)
        self._bad: TTLCache[bytes, bool] = TTLCache(REMEMBERED, BAD_FOR_S, timer=clock.monotonic)
        self._used: dict[str, datetime] = {}
        self._ends = 0
        self._listeners: list[Callable[[str | None], None]] = []

    async def issue(
        self, user_id: UserId, email: str, *, name: str, scopes: frozenset[Scope], lifetime: timedelta
    ) -> tuple[str, PersonalToken]:
        """A new token: its text, which nobody can tell again, and what is kept of it.

        Raises TooManyTokens; ValueError for no scope or a lifetime out of bounds.
        """
        if not scopes or not timedelta(0) < lifetime <= LONGEST_LIFETIME:
            raise ValueError("a token needs a scope and ends within a year")
        token_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        async with in_words():
            row = await self._sql.insert_token(
                self._pool,
                id=token_id,
                user_id=user_id,
                email=email,
                name=plain_text(name.strip(), MAX_NAME) or "Token",
                secret_hash=_hash(secret),
                scopes=sorted(scopes),
                now=now,
                expires_at=now + lifetime,
                most=MOST_PER_USER,
            )
        if row is None:
            raise TooManyTokens
        return f"{PREFIX}{token_id}_{secret}", _token(row)

    async def verify(self, text: str) -> Identity:
        """Whose token this is and what it may be used for; it counts as used. Raises NotSignedIn."""
        shape, known_as = _SHAPE.fullmatch(text), hashlib.sha256(text.encode()).digest()
        if shape is None or known_as in self._bad:
            raise NotSignedIn(Reason.TOKEN_REFUSED, "no personal access token of ours")
        token_id, now = shape["id"], self._clock.now()
        known = self._known.get(token_id) or await self._read(token_id)
        if (
            known is None
            or not hmac.compare_digest(known.secret_hash, _hash(shape["secret"]))
            or now >= known.identity.expires_at
        ):
            self._bad[known_as] = True
            log.info("token_refused", reason="personal: unknown, revoked or expired")
            raise NotSignedIn(Reason.TOKEN_REFUSED, "unknown, revoked or expired")
        self._used[token_id] = now
        return known.identity

    async def of_user(self, user_id: UserId) -> Sequence[PersonalToken]:
        """Theirs that have not ended, the newest first; with all that this replica knows of their use."""
        await self.write_used()
        async with in_words():
            rows = self._sql.tokens_of_user(self._pool, user_id=user_id, now=self._clock.now())
            return [_token(row) async for row in rows]

    async def revoke(self, user_id: UserId, token_id: str) -> bool:
        """End this token if it is theirs, on every replica; what it opened is cut. Whether there was one."""
        async with in_words():
            gone = await self._sql.delete_token(self._pool, id=token_id, user_id=user_id)
        if gone is not None:
            self.heard_end(token_id)
        return gone is not None

    def heard_end(self, token_id: str | None) -> None:
        """A token was revoked on some replica; None: news may have been missed."""
        self._ends += 1
        if token_id is None:
            self._known.clear()
        else:
            self._known.pop(token_id, None)
        for listener in self._listeners:
            listener(token_id)

    def when_ended(self, listener: Callable[[str | None], None]) -> None:
        """Have `listener` called with the id of each token that was revoked, on whichever replica; None as above."""
        self._listeners.append(listener)

    async def still(self, session: bytes) -> bool:
        """Whether the token behind an Identity's `session` lives, asked anew. Raises SignInUnavailable."""
        known = await self._read(session.removeprefix(SESSION).decode())
        return known is not None and self._clock.now() < known.identity.expires_at

    async def write_used(self) -> None:
        """Write when tokens were last used, in one statement. What cannot be written now is kept for the next time."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with in_words():
                await self._sql.use_tokens(self._pool, ids=list(used), ats=list(used.values()))
        except SignInUnavailable as unwritten:
            self._used = used | self._used
            log.warning("token_use_not_written", tokens=len(used), error=unwritten.cause)

    async def _read(self, token_id: str) -> _Known | None:
        ends = self._ends
        async with in_words():
            row = await self._sql.read_token(self._pool, id=token_id)
        if row is None:
            return None
        known = _Known(_identity(row), row["secret_hash"])
        if ends == self._ends:  # or it may have been revoked while we read
            self._known[token_id] = known
        return known


SESSION: Final = b"token:"
"""Begins the `session` of an Identity that came by a personal token; its id follows."""


def session_of(token_id: str) -> bytes:
    """What everything that was opened by this token is marked with."""
    return SESSION + token_id.encode()


def looks_personal(token: str) -> bool:
    """Whether it claims to be one of ours: then it is judged here, and never travels to a Machine."""
    return token.startswith(PREFIX)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _identity(row: Mapping[str, Any]) -> Identity:
    return Identity(
        user_id=UserId(row["user_id"]),
        email=row["email"],
        supabase_session_id=None,
        session=session_of(row["id"]),
        expires_at=row["expires_at"],
        scopes=frozenset(row["scopes"]),
    )


def _token(row: Mapping[str, Any]) -> PersonalToken:
    return PersonalToken(
        id=row["id"],
        name=row["name"],
        scopes=frozenset(map(Scope, row["scopes"])),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
    )
