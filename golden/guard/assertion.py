"""Verifies the gateway's word about who is asking: a short JWT, HS256, made for this Machine.

Written out by hand because a library for it would cost every Machine more memory than the rest of the
Guard. It reads only what our gateway writes and refuses all else; there is nothing to configure.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

LIFETIME_S: Final = 300
"""The longest that an assertion may claim to live."""
LEEWAY_S: Final = 60
"""How far the gateway's clock and ours may be apart."""
SIZE_LIMIT: Final = 4096
"""Characters of a token. Ours have about 350."""


class Refused(Exception):
    """The assertion proves nothing. The message is for the log and the gateway, and holds no part of it."""


class NotAToken(Refused):
    """Not three base64url parts of JSON objects with unique names, or too large."""


class WrongAlgorithm(Refused):
    """The header is not exactly that of an HS256 JWT."""


class UnknownKey(Refused):
    """No key of ours has this id."""


class WrongSignature(Refused):
    """Not signed with the key it names."""


class WrongClaims(Refused):
    """A claim is missing or of the wrong kind, or the lifetime is longer than allowed."""


class WrongMachine(Refused):
    """Made for another Machine."""


class Expired(Refused):
    """Its time is over."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What the gateway vouches for. `issued_at` and `expires_at` are Unix times by its clock."""

    user_id: str
    email: str
    issued_at: int
    expires_at: int
    operator: str = ""
    """Who really asks: an operator of the gateway on a visit, by name. "": the user."""


class IssuedLater(Refused):
    """Genuine, but issued later than it is by our clock: ours may lag after a resume."""

    def __init__(self, claims: Claims) -> None:
        super().__init__("issued in the future")
        self.claims = claims


def verify(token: str, keys: Mapping[str, bytes], audience: str, now: float) -> Claims:
    """What `token` says, if one of `keys` (by key id) signed it for `audience` and it is valid at `now`.

    Raises:
        Refused: one of the errors above. The signature is checked before any claim is read.
    """
    return _judge(signed(token, keys), audience, now)


def signed(token: str, keys: Mapping[str, bytes], *, limit: int = SIZE_LIMIT) -> dict[str, Any]:
    """What `token` says, if one of `keys` signed it; of what it says nothing is judged. Raises Refused."""
    if len(token) > limit:
        raise NotAToken("too large")
    parts = token.split(".")
    if len(parts) != 3:
        raise NotAToken("not three parts")
    header = _json_object(parts[0])
    if header.get("alg") != "HS256" or header.get("typ") != "JWT" or not header.keys() <= {"alg", "typ", "kid"}:
        raise WrongAlgorithm("not an HS256 JWT")
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise UnknownKey("unknown key id")
    expected = hmac.digest(key, f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256)
    if not hmac.compare_digest(expected, _decode(parts[2])):
        raise WrongSignature("wrong signature")
    return _json_object(parts[1])


def _judge(claims: dict[str, Any], audience: str, now: float) -> Claims:
    if "use" in claims:  # a token made for something else, like a claim
        raise WrongClaims("no assertion")
    issued, expires = claims.get("iat"), claims.get("exp")
    user_id, email = claims.get("sub"), claims.get("email")
    if not (_is_time(issued) and _is_time(expires) and _is_name(user_id) and _is_name(email)):
        raise WrongClaims("a claim is missing or malformed")
    actor = claims.get("act", {"sub": "user"})
    if not isinstance(actor, dict) or not _is_name(actor.get("sub")):
        raise WrongClaims("an actor without a name")
    if not 0 < expires - issued <= LIFETIME_S:
        raise WrongClaims("lifetime out of bounds")
    if claims.get("aud") != audience:
        raise WrongMachine("made for another machine")
    if now > expires + LEEWAY_S:
        raise Expired("expired")
    result = Claims(user_id, email, issued, expires, actor["sub"] if "act" in claims else "")
    if now < issued - LEEWAY_S:
        raise IssuedLater(result)
    return result


def _is_time(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value < 1 << 53


def _is_name(value: object) -> TypeGuard[str]:
    """Fit to stand in a header field: something printable, of a sensible length."""
    return isinstance(value, str) and 0 < len(value) <= 320 and value.isprintable() and value == value.strip()


def _json_object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(part), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise NotAToken("not JSON") from error
    if not isinstance(value, dict):
        raise NotAToken("not an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):  # whoever reads the first one would see another value than we
        raise NotAToken("a name occurs twice")
    return result


def _decode(part: str) -> bytes:
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotAToken("not base64url") from error
    # One spelling a token: otherwise the last character's unused bits, "+", "/" and "=" make others.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise NotAToken("not base64url")
    return decoded
