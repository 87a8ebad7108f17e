"""Signs assertions as the gateway does, and as it never would."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

KEY = bytes(range(32))
KEYS = {"k1": KEY}
MACHINE = "3d8d9014b32d89"
USER = "6f1c1f0e-7c1f-4d0a-9c37-3a8b2d6c5e01"
EMAIL = "ada@example.com"


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that are good now for MACHINE, but for `changes`; a change to None leaves the claim out."""
    now = int(time.time())
    base: dict[str, Any] = {"sub": USER, "email": EMAIL, "aud": MACHINE, "iat": now, "exp": now + 300}
    return {name: value for name, value in (base | changes).items() if value is not None}


def token(body: dict[str, Any] | bytes, *, key: bytes = KEY, **header: Any) -> str:
    """A JWT around `body`; `header` changes fields of the header, None leaves one out."""
    fields = {"alg": "HS256", "typ": "JWT", "kid": "k1"} | header
    head = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
    signed = f"{b64(head)}.{b64(body if isinstance(body, bytes) else json.dumps(body).encode())}"
    return f"{signed}.{b64(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def assertion(**changes: Any) -> str:
    """An assertion that is good now, but for `changes` of its claims."""
    return token(claims(**changes))
