"""How a delivery is signed, so that its receiver knows that it is ours, whole and new: standard-webhooks.com.

Signed is `<id>.<timestamp>.<body>` with HMAC-SHA256; a receiver refuses what is older than a few minutes, and what it
has seen under the same id.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  the mark of a secret


def new_secret() -> str:
    """256 random bits as receivers' libraries take them."""
    return SECRET_PREFIX + b64encode(secrets.token_bytes(32)).decode()


def signed(secret: str, *, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three fields of a delivery. `timestamp` in seconds since 1970."""
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    mac = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, sha256)
    return {
        "Webhook-Id": id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": f"v1,{b64encode(mac).decode()}",
    }
