"""What the owner of a Supabase project sets in its dashboard, and may change while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

SigningMode = Literal["ES256", "RS256", "HS256"]
RefreshKind = Literal["rotating", "counter"]


@dataclass(slots=True, kw_only=True)
class Project:
    """One project's switches. Mutable on purpose: the dashboard changes them under running clients."""

    site_url: str
    """Where people land when Auth has lost track of where they came from."""
    allow: Sequence[str] = ()
    """Globs of further places that `redirect_to` may name."""
    publishable_key: str
    secret_key: str = field(repr=False)
    signing: SigningMode = "ES256"
    """HS256 is a project on its legacy secret: tokens without `kid`, and an empty key list."""
    refresh_kind: RefreshKind = "rotating"
    """Old opaque refresh tokens that rotate, or the newer ones that count."""
    token_lifetime_s: int = 3600
    reuse_interval_s: int = 10
    """How long an already rotated refresh token is forgiven."""
    flow_lifetime_s: int = 300
    """From /authorize to the exchange of the code; time on Google's page counts."""
    rate_burst: int = 30
    rate_per_hour: int = 1800
    ip_forwarding: bool = False
    """Believe `Sb-Forwarded-For` of callers with a secret key."""
    disable_signup: bool = False
    google_enabled: bool = True
    google_exchange_fails: bool = False
    """Google answers the sign-in but not the exchange of its code: `server_error` for the user."""
