"""What a signed-in user may have done on the account pages. Whoever calls has checked who asks and from where."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.account.book import Book
from gateway.account.device import device
from gateway.account.eraser import Eraser
from gateway.pages.account import SessionRow, TokenRow, ago, ahead
from gateway.session.cookie import Realm
from gateway.session.identity import Identity
from gateway.session.personal import PersonalToken, PersonalTokens, Scope
from gateway.session.records import Seen
from gateway.session.sessions import Sessions
from provisioner.clock import Clock

FRESH: Final = timedelta(minutes=10)
DAYS: Final = (7, 30, 90, 365)
SCOPE_WORDS: Final = {Scope.APP: "your machine", Scope.READ: "how your machine is"}
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class NotFresh(Exception):
    """Signed in too long ago for this."""


class NotConfirmed(Exception):
    """What was typed is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Deeds:
    """Each call may raise SignInUnavailable: then nothing was done."""

    sessions: Sessions
    personal: PersonalTokens
    book: Book
    eraser: Eraser
    clock: Clock

    async def session_rows(self, who: Identity) -> list[SessionRow]:
        now = self.clock.now()
        return [session_row(seen, now, here=seen.id_hash == who.session) for seen in await self._seen(who)]

    async def end_session(self, who: Identity, ref: str) -> bool:
        """End the session that a row named; only of the user's own. Whether there was one."""
        if not _HASH.fullmatch(ref) or not await self.sessions.end_one_of(who.user_id, bytes.fromhex(ref)):
            return False
        await self._note("session_revoked", who)
        return True

    async def end_all(self, who: Identity) -> None:
        """Sign out everywhere, here included."""
        await self.sessions.end_all(who.user_id, by=who.session)
        await self._note("signed_out_everywhere", who)

    async def token_rows(self, who: Identity) -> list[TokenRow]:
        now = self.clock.now()
        return [token_row(token, now) for token in await self.personal.of_user(who.user_id)]

    async def make_token(self, who: Identity, *, name: str, days: int, scopes: Sequence[str]) -> str:
        """The new token's text. Raises ValueError for what no form of ours sends, TooManyTokens."""
        if days not in DAYS:
            raise ValueError("no choice of ours")
        text, token = await self.personal.issue(
            who.user_id, who.email, name=name, scopes=frozenset(map(Scope, scopes)), lifetime=timedelta(days=days)
        )
        await self._note("token_made", who, token=token.id, scopes=sorted(token.scopes))
        return text

    async def revoke_token(self, who: Identity, token_id: str) -> bool:
        if not await self.personal.revoke(who.user_id, token_id):
            return False
        await self._note("token_revoked", who, token=token_id)
        return True

    async def export(self, who: Identity) -> dict[str, Any]:
        """Everything we know about the user, as JSON. No secret is in it."""
        await self._note("data_exported", who)
        return {
            "exported_at": self.clock.now().isoformat(),
            "account": {"user_id": str(who.user_id), "email": who.email},
            **await self.book.everything(who.user_id),
        }

    async def is_fresh(self, who: Identity) -> bool:
        """Whether this very session began within the last FRESH."""
        begun = next((seen.created_at for seen in await self._seen(who) if seen.id_hash == who.session), None)
        return begun is not None and self.clock.now() - begun <= FRESH

    async def delete(self, who: Identity, typed: str) -> None:
        """Begin the end of the account. Raises NotFresh, NotConfirmed."""
        if not await self.is_fresh(who):
            raise NotFresh
        if not who.email or typed.strip().casefold() != who.email.casefold():
            raise NotConfirmed
        await self.eraser.ask(who.user_id, who.email)

    async def _seen(self, who: Identity) -> Sequence[Seen]:
        return await self.sessions.of_user(who.user_id)

    async def _note(self, action: str, who: Identity, **detail: object) -> None:
        await self.book.note(action, who.user_id, now=self.clock.now(), detail=detail)


def session_row(seen: Seen, now: datetime, *, here: bool) -> SessionRow:
    """One session in words."""
    return SessionRow(
        ref=seen.id_hash.hex(),
        device=device(seen.user_agent),
        address=seen.ip,
        last_seen="now" if here else ago(seen.last_seen_at, now),
        of_account=seen.realm is Realm.ACCOUNT,
        here=here,
    )


def token_row(token: PersonalToken, now: datetime) -> TokenRow:
    """One token in words."""
    return TokenRow(
        id=token.id,
        name=token.name,
        scopes="For " + " and ".join(words for scope, words in SCOPE_WORDS.items() if scope in token.scopes),
        last_used="never" if token.last_used_at is None else ago(token.last_used_at, now),
        ends=ahead(token.expires_at, now),
    )
