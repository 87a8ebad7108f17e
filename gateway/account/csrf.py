"""Tokens in our forms that no other page can know: bound to the session by HMAC. Pure."""

import base64
import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from gateway.session.vault import derive

FIELD: Final = "csrf"


class FormTokens:
    """Nothing is stored: the token follows from the session, and ends with it."""

    def __init__(self, master_keys: Mapping[str, bytes]) -> None:
        self._keys = [derive(key, "account-form") for key in master_keys.values()]

    def of(self, session: bytes) -> str:
        """For the forms that this session is shown. `session` is the hash of its id."""
        return _made(self._keys[0], session)

    def fits(self, token: str, session: bytes) -> bool:
        """In constant time. A form that was shown before the keys were rotated still fits."""
        shown = token.encode("utf-8", "surrogatepass")
        return any(hmac.compare_digest(shown, _made(key, session).encode()) for key in self._keys)


def _made(key: bytes, session: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.new(key, session, sha256).digest()).rstrip(b"=").decode()
