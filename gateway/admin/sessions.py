"""Operators who signed in at the dashboard: an opaque cookie that stands for the token they showed.

Nothing else hangs on the cookie: when the token is revoked, or ADMIN_TOKEN changed, it opens nothing any more.
"""

import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import Final, Protocol

from provisioner.clock import Clock

COOKIE: Final = "jarvis-operator"
"""The public listener never passes it on: on one machine, cookies do not tell ports apart."""
CSRF_FIELD: Final = "X-Operator-Csrf"
LASTS: Final = timedelta(hours=12)
_ID_LENGTH: Final = 43


class SessionRecords(Protocol):
    """The sessions on record."""

    async def begin_session(self, id_hash: bytes, token_hash: bytes, *, expires_at: datetime) -> None: ...
    async def token_of_session(self, id_hash: bytes) -> bytes | None: ...
    async def end_session(self, id_hash: bytes) -> None: ...


class OperatorSessions:
    """Cookies for operators."""

    def __init__(self, records: SessionRecords, clock: Clock) -> None:
        self._records, self._clock = records, clock

    async def begin(self, token_hash: bytes) -> str:
        """A cookie's value for whoever showed this token."""
        value = secrets.token_urlsafe(32)
        await self._records.begin_session(_hash(value), token_hash, expires_at=self._clock.now() + LASTS)
        return value

    async def token_hash(self, value: str) -> bytes | None:
        """The hash of the token that it stands for; None if it stands for none, or for none any more."""
        return await self._records.token_of_session(_hash(value)) if len(value) == _ID_LENGTH else None

    async def end(self, value: str) -> None:
        await self._records.end_session(_hash(value))


def shown(cookies: Sequence[str]) -> str:
    """The session cookie's value in these Cookie fields; "" if there is none, or more than one to choose from."""
    found = []
    for line in cookies:
        try:
            found += [morsel.value for name, morsel in SimpleCookie(line).items() if name == COOKIE]
        except CookieError:
            return ""
    return found[0] if len(found) == 1 else ""


def csrf_of(value: str) -> str:
    """What a page of ours sends along with a change. Whoever cannot read the cookie cannot know it."""
    return sha256(b"csrf\n" + value.encode()).hexdigest()


def is_csrf(value: str, sent: str) -> bool:
    return hmac.compare_digest(csrf_of(value).encode(), sent.encode("utf-8", "surrogateescape"))


def _hash(value: str) -> bytes:
    return sha256(value.encode("utf-8", "surrogateescape")).digest()
