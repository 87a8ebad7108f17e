"""What the Fly adapter has to be told."""

import re
from dataclasses import dataclass, field
from datetime import timedelta

_SCHEMES = ("FlyV1 ", "Bearer ")
_PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlySettings:
    """Raises ValueError for a URL or token that no request could carry; the message never repeats the token."""

    token: str = field(repr=False)
    """Org-scoped for a gateway that makes apps. `fly tokens create` prints `FlyV1 fm2_…`: that form is taken too."""

    api_url: str = "https://api.machines.dev"
    """`http://_api.internal:4280` saves the way through the edge for a gateway that runs inside Fly."""

    org_slug: str = "personal"
    """The organisation that owns every app we make."""

    shared_app: str = ""
    """The app that all replicas make Machines in: calls about it take their turns together, where there are Turns."""

    connect_timeout: timedelta = timedelta(seconds=5)
    """Nothing was sent when it runs out, so every call is repeated."""

    ask_timeout: timedelta = timedelta(seconds=10)
    """For calls that only read. Shorter gives up on a slow Fly, longer delays the repeat that would have helped."""

    act_timeout: timedelta = timedelta(seconds=30)
    """For calls that change something. Shorter leaves more outcomes unknown; Fly itself cuts near 60 s."""

    patience: timedelta = timedelta(seconds=15)
    """How long a call may wait for its turn under Fly's rate limits before it fails as RateLimited, unsent."""

    def __post_init__(self) -> None:
        url = self.api_url.rstrip("/").removesuffix("/v1")
        if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
            raise ValueError(f"Fly's API URL must be http(s)://host[:port], not {self.api_url!r}")
        object.__setattr__(self, "api_url", url)
        token = self.token.strip()
        for scheme in _SCHEMES:
            token = token.removeprefix(scheme)
        if not _PRINTABLE.fullmatch(token):
            raise ValueError("Fly's API token is empty or holds characters that no header may carry")
        object.__setattr__(self, "token", token)

    @property
    def authorization(self) -> str:
        """The header's value. Macaroons (`fm2_…`) have a scheme of their own."""
        return f"{'FlyV1' if self.token.startswith('fm2_') else 'Bearer'} {self.token}"
