"""Noticing that signing in leads back to signing in, by a short-lived sealed cookie."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.session import cookie
from gateway.session.cookie import CookieNames
from gateway.session.vault import Unsealable, Vault

MAX_SIGN_INS: Final = 5
WITHIN: Final = timedelta(minutes=1)


def times(cookie_headers: Sequence[str], names: CookieNames, vault: Vault, *, now: datetime) -> list[datetime]:
    """When this browser lately went to sign in, within the last minute. Empty for a cookie that is not ours."""
    try:
        value = cookie.one(cookie_headers, names.loop) or ""
        stamps = json.loads(vault.open(cookie.from_text(value), about=names.loop.encode()))
    except (ValueError, Unsealable):  # Ambiguous is a ValueError too
        return []
    instants = [datetime.fromtimestamp(stamp, UTC) for stamp in stamps]
    return [instant for instant in instants if now - WITHIN < instant <= now]


def to_cookie(instants: Sequence[datetime], names: CookieNames, vault: Vault) -> str:
    """The Set-Cookie value that remembers `instants`."""
    stamps = json.dumps([int(instant.timestamp()) for instant in instants[-MAX_SIGN_INS:]])
    sealed = vault.seal(stamps.encode(), about=names.loop.encode())
    return cookie.set_cookie(names.loop, cookie.to_text(sealed), names, max_age=WITHIN)
