"""Who is asking, and what may stand in the way of knowing it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from provisioner.instance import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person whose proof was checked. Where this room ends and everything else begins."""

    user_id: UserId
    email: str
    """As Supabase knows it; "" for an account without one. For showing, never for deciding."""
    supabase_session_id: UUID | None
    session: bytes
    """What ends it: the hash of our session's id, or the mark of a personal token or of a login at Supabase."""
    expires_at: datetime
    """The end of the access token behind it. A session is renewed without its streams noticing."""
    scopes: frozenset[str] | None = None
    """What a personal token may be used for; None for every other proof: anything."""

    operator: str | None = None
    """Who really asks, when it is not the user: an operator on a visit, by name."""

    def require(self, scope: str) -> None:
        """Raises OutOfScope."""
        if self.scopes is not None and scope not in self.scopes:
            raise OutOfScope(scope)


class Reason(StrEnum):
    """Why somebody is not signed in: for counting and for choosing words, never a secret."""

    NOTHING_SHOWN = "nothing_shown"  # no cookie of ours, no bearer token
    AMBIGUOUS = "ambiguous"  # two different session cookies: one of them was planted
    UNKNOWN = "unknown"  # no such session: signed out, revoked or made up
    EXPIRED = "expired"  # the session's own lifetime is over
    REVOKED = "revoked"  # Supabase ended it: signed out everywhere, banned, deleted, timebox
    TOKEN_REFUSED = "token_refused"  # noqa: S105  a bearer token that did not pass


class SessionError(Exception):
    """Anything this room raises on purpose."""


class NotSignedIn(SessionError):
    """Nobody we know. A navigation goes to sign-in, anything else gets 401."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason.value)
        self.reason, self.detail = reason, detail


class SignInUnavailable(SessionError):
    """Whether they are signed in cannot be told now: Supabase or our database does not answer. Nobody was signed out.

    `retry_after` is in seconds.
    """

    def __init__(self, cause: str, *, retry_after: float = 5) -> None:
        super().__init__(cause)
        self.cause, self.retry_after = cause, retry_after


class OutOfScope(SessionError):
    """A personal access token that was not made for this."""


class NotSameOrigin(SessionError):
    """A state-changing request that did not come from our own pages: 403."""
