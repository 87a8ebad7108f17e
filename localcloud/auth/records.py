"""What Auth remembers. Times are aware UTC; ids are UUIDs as text."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(slots=True, kw_only=True)
class User:
    id: str
    email: str
    app_metadata: dict[str, Any]
    user_metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    role: str = "authenticated"
    new_email: str | None = None
    email_confirmed_at: datetime | None = None
    last_sign_in_at: datetime | None = None
    banned_until: datetime | None = None
    deleted_at: datetime | None = None

    def is_banned(self, now: datetime) -> bool:
        return self.banned_until is not None and self.banned_until > now


@dataclass(slots=True, kw_only=True)
class Identity:
    """A user's account at a provider: `provider_id` is Google's `sub`."""

    id: str
    user_id: str
    provider: str
    provider_id: str
    identity_data: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    last_sign_in_at: datetime


@dataclass(slots=True, kw_only=True)
class Session:
    id: str
    user_id: str
    created_at: datetime
    updated_at: datetime
    refreshed_at: datetime | None = None
    not_after: datetime | None = None
    user_agent: str | None = None
    ip: str | None = None
    refresh_key: str
    """Hex. Signs the counting kind of refresh token."""
    refresh_counter: int = 0


@dataclass(slots=True, kw_only=True)
class RefreshToken:
    """One of the rotating kind. `revoked` means swapped for a child, or killed with its family."""

    id: str
    session_id: str
    parent: str | None
    revoked: bool
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True, kw_only=True)
class Flow:
    """One sign-in under way, from /authorize on. Its id is the `state` that Google carries."""

    id: str
    auth_code: str
    redirect_to: str
    code_challenge: str | None
    """None for the implicit flow."""
    code_challenge_method: str | None
    created_at: datetime
    user_id: str | None = None
    provider_token: str | None = None
    provider_refresh_token: str | None = None


@dataclass(slots=True, kw_only=True)
class SigningKey:
    """`private` is PEM; for HS256 the secret itself."""

    id: str
    algorithm: str
    state: str
    private: str
    created_at: datetime
