"""One attempt to sign in, from the click to the return from Google, kept in the browser's own sealed cookie.

Nothing of it is stored here, so garbage callbacks cost neither a row nor a call to Supabase, and several tabs may sign
in at once, each with its own cookie.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.session import cookie
from gateway.session.cookie import FLOW_ID_LENGTH, CookieNames
from gateway.session.vault import Unsealable, Vault

LIFETIME: Final = timedelta(minutes=10)
"""Longer than Supabase's own 5 minutes from /authorize, so that its refusal is what users get to read."""
MAX_PENDING: Final = 5
MAX_PENDING_BYTES: Final = 4096
"""All pending cookies together. aiohttp refuses a Cookie header over 8190 bytes, and the App has cookies too."""

_STATE = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The secrets of one attempt, and where it should end."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    next: str
    started_at: datetime

    @property
    def challenge(self) -> str:
        """PKCE's S256 of the verifier."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


def begin(next_path: str, *, now: datetime) -> Flow:
    return Flow(state=secrets.token_urlsafe(24), verifier=secrets.token_urlsafe(48), next=next_path, started_at=now)


def looks_like_state(text: str | None) -> bool:
    return text is not None and _STATE.fullmatch(text) is not None


def cookie_name(state: str, names: CookieNames) -> str:
    return names.flow_prefix + state[:FLOW_ID_LENGTH]


def to_cookie(flow: Flow, names: CookieNames, vault: Vault) -> tuple[str, str]:
    """Name and sealed value."""
    name = cookie_name(flow.state, names)
    content = json.dumps([flow.state, flow.verifier, flow.next, flow.started_at.timestamp()], separators=(",", ":"))
    return name, cookie.to_text(vault.seal(content.encode(), about=name.encode()))


def from_cookie(name: str, value: str, vault: Vault, *, now: datetime) -> Flow | None:
    """The attempt, or None if the cookie is not ours, belongs under another name or is too old."""
    try:
        content = json.loads(vault.open(cookie.from_text(value), about=name.encode()))
    except (ValueError, Unsealable):
        return None
    state, verifier, next_path, started = content
    flow = Flow(state=state, verifier=verifier, next=next_path, started_at=datetime.fromtimestamp(started, UTC))
    return flow if now - flow.started_at < LIFETIME else None


def find(
    state: str | None, cookies: Mapping[str, str], names: CookieNames, vault: Vault, *, now: datetime
) -> Flow | None:
    """The attempt that `state` belongs to, if this browser began it. The state is compared in constant time."""
    if state is None or not looks_like_state(state):
        return None
    name = cookie_name(state, names)
    flow = from_cookie(name, cookies.get(name, ""), vault, now=now)
    return flow if flow is not None and secrets.compare_digest(flow.state, state) else None


def surplus(cookies: Mapping[str, str], new_value: str, vault: Vault, *, now: datetime) -> list[str]:
    """Names of pending cookies to remove so that a new one fits: first what no longer opens, then the oldest."""
    flows = {name: from_cookie(name, value, vault, now=now) for name, value in cookies.items()}
    dead = [name for name, flow in flows.items() if flow is None]
    alive = sorted((flow.started_at, name) for name, flow in flows.items() if flow is not None)
    size = len(new_value) + sum(len(cookies[name]) for _, name in alive)
    while alive and (len(alive) >= MAX_PENDING or size > MAX_PENDING_BYTES):
        _, oldest = alive.pop(0)
        size -= len(cookies[oldest])
        dead.append(oldest)
    return dead
