"""What a Supabase access token must say before we believe it. Pure: text, keys and an instant in, claims out.

PyJWT checks the signature; the claims are checked here, because `now` is an argument and because two JSON members of
one name must not be read as one thing by us and as another by somebody else.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import jwt

from gateway.session.identity import NotSignedIn, Reason
from provisioner.instance import UserId

MAX_TOKEN: Final = 8192
"""Bytes. A token with Google's data has 1.5–1.9 kB; users can grow theirs through `user_metadata`."""
ASYMMETRIC: Final = frozenset({"ES256", "RS256"})
LEEWAY: Final = timedelta(seconds=10)

_LATEST = 1 << 37  # the year 6325: later instants, plus leeway, are no datetime any more
_SIGNATURES = jwt.PyJWS()
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_KEY_IN_HEADER = frozenset({"jwk", "jku", "x5c", "x5u", "crit"})


class TokenRefused(NotSignedIn):
    """The token is not one of ours, or no longer good. `detail` says why and holds no part of it."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.TOKEN_REFUSED, detail)


class UnknownKey(TokenRefused):
    """Signed with a key id that is not among the given keys: fetching them again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose tokens count: the exact issuer, and the shared secret of a project without asymmetric keys."""

    issuer: str
    legacy_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """A verified token's content."""

    user_id: UserId
    email: str
    supabase_session_id: UUID
    issued_at: datetime
    expires_at: datetime
    all: Mapping[str, Any]
    """Everything it said. `user_metadata` is the user's own writing: never authorise on it."""


def verify(token: str, keys: Mapping[str, jwt.PyJWK], trust: Trust, *, now: datetime) -> Claims:
    """The claims of a token that is signed by one of `keys` and meant for us at `now`.

    Raises:
        UnknownKey: its key id is not in `keys`.
        TokenRefused: anything else is wrong with it.
    """
    header, _ = parts(token)
    if _KEY_IN_HEADER & header.keys():
        raise TokenRefused("brings its own key or rules")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise TokenRefused("another kind of token")
    key, algorithm = _key_for(header, keys, trust)
    try:
        payload = _SIGNATURES.decode(token, key, algorithms=[algorithm])
    except jwt.PyJWTError as bad:
        raise TokenRefused(f"signature: {type(bad).__name__}") from None
    return _check(_json_object(payload), trust, now)


def parts(token: str) -> tuple[dict[str, Any], bytes]:
    """Header and still unverified payload. Raises TokenRefused for what is no JWT in its one canonical spelling."""
    if len(token) > MAX_TOKEN:
        raise TokenRefused("too long")
    texts = token.split(".")
    if len(texts) != 3:
        raise TokenRefused("not three parts")
    header, payload, _signature = map(_decode, texts)
    return _json_object(header), payload


def issuer_of(token: str) -> object:
    """Who the token says it is from, unverified; None if it is no JWT. For telling tokens apart, not for trust."""
    try:
        return _json_object(parts(token)[1]).get("iss")
    except TokenRefused:
        return None


def _key_for(header: Mapping[str, Any], keys: Mapping[str, jwt.PyJWK], trust: Trust) -> tuple[Any, str]:
    """Key and the one algorithm it may be used with: the key decides, never the token."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm == "HS256" and trust.legacy_secret is not None:
        return trust.legacy_secret.encode(), "HS256"
    if not isinstance(algorithm, str) or algorithm not in ASYMMETRIC:
        raise TokenRefused("algorithm not accepted")
    if not isinstance(kid, str) or not kid:
        raise TokenRefused("no key id")
    key = keys.get(kid)
    if key is None:
        raise UnknownKey("unknown key")
    return key, key.algorithm_name  # PyJWT refuses a token whose `alg` is another


def _check(claims: dict[str, Any], trust: Trust, now: datetime) -> Claims:
    issued, expires = _instant(claims, "iat"), _instant(claims, "exp")
    not_before = _instant(claims, "nbf") if "nbf" in claims else issued
    if claims.get("iss") != trust.issuer:
        raise TokenRefused("another issuer")
    if claims.get("aud") != "authenticated" or claims.get("role") != "authenticated":
        raise TokenRefused("not for a signed-in user")
    # `is False` and not falsy: a JSON 0 or "" there is nothing Supabase writes.
    if claims.get("is_anonymous", False) is not False:
        raise TokenRefused("anonymous")
    if claims.get("client_id") not in (None, ""):
        raise TokenRefused("issued to another application")  # Supabase acting as an OAuth server
    if expires + LEEWAY <= now:
        raise TokenRefused("expired")
    if max(issued, not_before) - LEEWAY > now:
        raise TokenRefused("not valid yet")
    email = claims.get("email") or ""
    # It travels in a header to the Machine and into a text column: JSON allows what neither does.
    if not isinstance(email, str) or not email.isprintable():
        raise TokenRefused("email is no plain text")
    return Claims(
        user_id=UserId(_uuid(claims, "sub")),
        email=email,
        supabase_session_id=_uuid(claims, "session_id"),
        issued_at=issued,
        expires_at=expires,
        all=claims,
    )


def _instant(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise TokenRefused(f"{name} is no time")
    return datetime.fromtimestamp(value, UTC)


def _uuid(claims: Mapping[str, Any], name: str) -> UUID:
    value = claims.get(name)
    if not isinstance(value, str) or not _UUID.fullmatch(value) or not (uuid := UUID(value)).int:
        raise TokenRefused(f"{name} is no UUID")
    return uuid


def _decode(text: str) -> bytes:
    if not _PART.fullmatch(text):
        raise TokenRefused("not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise TokenRefused("not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise TokenRefused("not canonical base64url")  # or one signature would have several spellings
    return data


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise TokenRefused("not JSON") from None
    if not isinstance(value, dict):
        raise TokenRefused("not an object")
    return value


def _no_doubles(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise TokenRefused("a name twice")
    return value


def _no_constant(name: str) -> object:
    raise TokenRefused(f"{name} in JSON")
