"""The waiting list, for whoever stands on it: a sealed note in their browser says who they are, so that the page in
front of them can tell when it is their turn. It opens nothing: they sign in again, which a browser does by itself.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from gateway.session import cookie
from gateway.session.admissions import Admissions, Standing
from gateway.session.cookie import CookieNames
from gateway.session.vault import Unsealable, Vault
from provisioner.instance import UserId

LIFETIME: Final = timedelta(days=60)
"""Who comes back later signs in again, and gets another note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InLine:
    """Somebody on the list, or no longer: `place` counts from 1 among those that wait, None for who does not."""

    email: str
    standing: Standing
    place: int | None
    next: str
    """Where they wanted to go."""


class Line:
    """Writes the note and reads it. Safe to share."""

    def __init__(self, admissions: Admissions, names: CookieNames, vault: Vault) -> None:
        self._admissions, self._names, self._vault = admissions, names, vault

    def note(self, user_id: UUID, email: str, next_path: str) -> str:
        """A Set-Cookie value."""
        content = json.dumps([str(user_id), email, next_path], separators=(",", ":"))
        sealed = self._vault.seal(content.encode(), about=self._names.waiting.encode())
        return cookie.set_cookie(self._names.waiting, cookie.to_text(sealed), self._names, max_age=LIFETIME)

    async def look(self, cookie_headers: Sequence[str]) -> InLine | None:
        """How it stands for whoever carries a note; None without one. Raises SignInUnavailable."""
        try:
            value = cookie.one(cookie_headers, self._names.waiting)
            content = self._vault.open(cookie.from_text(value or ""), about=self._names.waiting.encode())
        except (cookie.Ambiguous, ValueError, Unsealable):
            return None
        user_id, email, next_path = json.loads(content)
        standing = await self._admissions.ask(UserId(UUID(user_id)), email)
        place = await self._admissions.place(UserId(UUID(user_id))) if standing is Standing.WAITING else None
        return InLine(email=email, standing=standing, place=place, next=next_path)
