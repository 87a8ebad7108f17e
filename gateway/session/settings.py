"""What the session room needs to know. Built once, by the gateway's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import urlsplit

from gateway.session.admissions import Rules
from gateway.session.cookie import Realm
from gateway.session.vault import key_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Raises ValueError naming every problem at once."""

    public_origin: str
    """Scheme, host and port that browsers use, without a slash at the end: `https://my-jarvis.app`."""
    account_origin: str = "http://account.localhost"
    """The same for the account pages. Never the public origin: Machines' pages live there."""
    realm: Realm = Realm.PUBLIC
    """Whose cookies `public_origin` sets and takes."""
    rules: Rules = field(default_factory=Rules)
    """Who may sign up."""
    supabase_url: str
    """The project's base URL, `https://<ref>.supabase.co`."""
    publishable_key: str = field(repr=False)
    secret_key: str | None = field(default=None, repr=False)
    """`sb_secret_…`. With it Supabase counts its rate limit per user instead of per replica (its project setting
    "IP address forwarding" must be on); without it, logins and refreshes share 1800 calls an hour."""
    legacy_jwt_secret: str | None = field(default=None, repr=False)
    """The project's HS256 secret. Only for projects without asymmetric keys: who holds it can be anybody."""
    master_keys: Mapping[str, bytes] = field(repr=False)
    """Key id to 32 random bytes; the first seals, all open. Losing them signs everybody out."""

    idle_lifetime: timedelta = timedelta(days=14)
    """Without a request for so long, a session ends. Longer is more comfortable, shorter limits a lost laptop."""
    absolute_lifetime: timedelta = timedelta(days=90)
    """A session never lives longer than this, however busy."""
    refresh_before: timedelta = timedelta(seconds=60)
    """An access token is renewed within this last part of its life. Earlier costs calls, later risks waiting."""
    outage_grace: timedelta = timedelta(minutes=15)
    """How long a session outlives its access token while Supabase or the database does not answer. Longer rides out
    longer outages, shorter notices a ban sooner. Bearer tokens get none."""
    call_timeout: timedelta = timedelta(seconds=8)
    """For one call to Supabase Auth, whose own deadline is 10 s."""
    refreshes_at_once: int = 3
    """Each holds one database connection while Supabase answers: keep it below the pool's size."""
    known_sessions: int = 50_000
    """Sessions and bearer tokens (each) kept in memory, about 1 kB apiece."""
    seen_every: timedelta = timedelta(seconds=30)
    """How often `last_seen_at` is written, all sessions in one statement."""
    keys_fresh: timedelta = timedelta(minutes=10)
    """Age at which Supabase's signing keys are fetched again; its own edge caches as long."""
    keys_stale: timedelta = timedelta(hours=1)
    """Age up to which they serve while Supabase does not answer: uptime against fast revocation of a key."""

    def __post_init__(self) -> None:
        problems = [
            *_url_problems("public_origin", self.public_origin, path_allowed=False),
            *_url_problems("account_origin", self.account_origin, path_allowed=False),
            *_url_problems("supabase_url", self.supabase_url, path_allowed=True),
            *key_problems(self.master_keys),
        ]
        if not self.publishable_key:
            problems.append("publishable_key is empty")
        if self.legacy_jwt_secret is not None and len(self.legacy_jwt_secret.encode()) < 32:
            problems.append("legacy_jwt_secret is shorter than 32 bytes")
        if self.idle_lifetime > self.absolute_lifetime:
            problems.append("idle_lifetime is longer than absolute_lifetime")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def of_account(self) -> "SessionSettings":
        """The same room seen from the account origin."""
        return replace(self, public_origin=self.account_origin, realm=Realm.ACCOUNT)

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over TLS: decides the cookies' names and flags."""
        return self.public_origin.startswith("https://")

    @property
    def auth_url(self) -> str:
        """Base of Supabase's Auth API, and exactly the `iss` of its tokens."""
        return self.supabase_url.rstrip("/") + "/auth/v1"


def _url_problems(name: str, url: str, *, path_allowed: bool) -> list[str]:
    parts = urlsplit(url)
    path = parts.path.rstrip("/") if path_allowed else parts.path
    if parts.scheme not in ("http", "https") or not parts.hostname or path or parts.query or parts.fragment:
        return [f"{name} is not scheme://host[:port]: {url!r}"]
    return []
