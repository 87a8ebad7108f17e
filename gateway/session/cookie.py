"""The gateway's own cookies: their names, how they are read, how they are set.

On https every name carries the `__Host-` prefix: a browser then takes it only over TLS, for this very host and for
all paths, so no other page can plant one. Browsers may refuse Secure cookies over plain http on localhost, hence
the bare names there.
"""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

FLOW_ID_LENGTH: Final = 8
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{43}")
_FLOW_ID = re.compile(rf"[A-Za-z0-9_-]{{{FLOW_ID_LENGTH}}}")


class Realm(StrEnum):
    """Whose pages a cookie is for. Machines' pages share the public origin; they must be nobody at the other."""

    PUBLIC = "public"
    ACCOUNT = "account"


class Ambiguous(ValueError):
    """One of our cookies came twice with different values: somebody planted one of them."""


@dataclass(frozen=True, slots=True)
class CookieNames:
    """What our cookies are called. All of them start with `jarvis` or `__Host-jarvis`."""

    session: str
    flow_prefix: str
    """One cookie for each attempt to sign in: the first characters of its state complete the name."""
    loop: str
    """When this browser lately went to sign in."""
    last_user: str
    """A keyed hash of who last signed in here, so that nothing of theirs is left for somebody else."""
    waiting: str
    """A sealed note for who is on the waiting list."""
    secure: bool
    realm: Realm

    @classmethod
    def for_scheme(cls, *, secure: bool, realm: Realm = Realm.PUBLIC) -> "CookieNames":
        prefix = "__Host-jarvis" if secure else "jarvis"
        prefix += "" if realm is Realm.PUBLIC else f"-{realm}"
        return cls(prefix, f"{prefix}-flow-", f"{prefix}-loop", f"{prefix}-last", f"{prefix}-waiting", secure, realm)

    @property
    def exact(self) -> frozenset[str]:
        """Whole names that never reach a Machine; every name beginning with `flow_prefix` does not either."""
        return frozenset({self.session, self.loop, self.last_user, self.waiting})


def pairs(cookie_headers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and value of every cookie in one or several Cookie headers, untouched. Pieces without `=` are skipped."""
    for header in cookie_headers:
        for piece in header.split(";"):
            name, equals, value = piece.partition("=")
            if equals:
                yield name.strip(" \t"), value.strip(" \t")


def one(cookie_headers: Sequence[str], name: str) -> str | None:
    """The value of `name`, matched in exact case. Raises Ambiguous if it came with two values."""
    found = None
    for header in cookie_headers:
        if name not in header:  # most requests carry one header, with our cookie somewhere in it
            continue
        for piece in header.split(";"):
            if name not in piece:  # an App's cookies may be large
                continue
            for each, value in pairs((piece,)):
                if each != name:
                    continue
                if found is not None and found != value:
                    raise Ambiguous(name)
                found = value
    return found


def session_id(cookie_headers: Sequence[str], names: CookieNames) -> str | None:
    """The session id a browser sent, if it has the form of one. Raises Ambiguous."""
    value = one(cookie_headers, names.session)
    return value if value is not None and _SESSION_ID.fullmatch(value) else None


def new_session_id() -> str:
    """256 random bits in 43 characters."""
    return secrets.token_urlsafe(32)


def hash_of(cookie_id: str, realm: Realm = Realm.PUBLIC) -> bytes:
    """What is stored and compared instead of the id: who reads the table cannot become anybody.

    It depends on the realm, so that an id of one origin is no id at the other.
    """
    mark = b"" if realm is Realm.PUBLIC else f"{realm}:".encode()
    return hashlib.sha256(mark + cookie_id.encode()).digest()


def set_cookie(name: str, value: str, names: CookieNames, *, max_age: timedelta) -> str:
    """A Set-Cookie value. SameSite=Lax, because Strict would withhold it on the way back from Google."""
    secure = "; Secure" if names.secure else ""
    return f"{name}={value}; Path=/; Max-Age={int(max_age.total_seconds())}; HttpOnly{secure}; SameSite=Lax"


def clear_cookie(name: str, names: CookieNames) -> str:
    """A Set-Cookie value that removes `name`. The flags repeat: without Secure, a `__Host-` name is refused."""
    return set_cookie(name, "", names, max_age=timedelta(0))


def flow_cookies(cookie_headers: Sequence[str], names: CookieNames) -> dict[str, str]:
    """Every pending attempt's cookie, by name. Of doubles the first counts; a planted one will not open."""
    found: dict[str, str] = {}
    for name, value in pairs(cookie_headers):
        if name.startswith(names.flow_prefix) and _FLOW_ID.fullmatch(name[len(names.flow_prefix) :]):
            found.setdefault(name, value)
    return found


def to_text(sealed: bytes) -> str:
    """Bytes as a cookie value or URL part."""
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def from_text(value: str) -> bytes:
    """The bytes `to_text` was given. Raises ValueError."""
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as bad:
        raise ValueError("not base64url") from bad
