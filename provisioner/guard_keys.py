"""Keys between the gateway and each Machine's Guard: one master, one derived key per Instance.

A Machine's key is worth nothing elsewhere: it cannot be turned back into the master, and the audience of each
assertion names the Machine.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import jwt

from provisioner.instance import Instance

ASSERTION_LIFE: Final = timedelta(minutes=5)
"""The most a Guard accepts. Long, because a Machine's clock lags after a resume."""


@dataclass(frozen=True, slots=True)
class GuardKeys:
    """Master keys by key id, newest first.

    A Machine knows the keys that were there when it was made. So assertions are signed with the oldest one that is
    kept: every Machine knows it. It may go when no Machine is left that was made before the newer ones came.
    """

    masters: Mapping[str, bytes] = field(repr=False)

    def signing(self, instance_id: UUID) -> tuple[str, bytes]:
        """(key id, key) to sign with."""
        kid = next(reversed(list(self.masters)))
        return kid, derive(self.masters[kid], instance_id)

    def assertion(self, instance: Instance, *, now: datetime, operator: str | None = None) -> str:
        """A JWT that opens the Guard of this Instance's Machine for this user, until five minutes after `now`.

        `operator`: who really asks, if it is not the user (`act`, RFC 8693 §4.1).

        About 40 µs; callers on the request path keep it.
        """
        kid, key = self.signing(instance.id)
        claims: dict[str, object] = {
            "sub": str(instance.user_id),
            "email": instance.email,
            "aud": instance.machine_id,
            "iat": int(now.timestamp()),
            "exp": int((now + ASSERTION_LIFE).timestamp()),
        }
        if operator is not None:
            claims["act"] = {"sub": operator}
        return jwt.encode(claims, key, algorithm="HS256", headers={"kid": kid})

    def claim(self, instance: Instance, environment: Mapping[str, str], *, now: datetime) -> str:
        """A JWT that makes the Machine of a spare this user's, and tells what their App gets; to be used by then."""
        kid, key = self.signing(instance.id)
        claims = {
            "use": "claim",
            "sub": str(instance.user_id),
            "email": instance.email,
            "aud": instance.machine_id,
            "env": dict(environment),
            "iat": int(now.timestamp()),
            "exp": int((now + ASSERTION_LIFE).timestamp()),
        }
        return jwt.encode(claims, key, algorithm="HS256", headers={"kid": kid})

    def for_machine(self, instance_id: UUID) -> str:
        """The value of JARVIS_GUARD_KEYS: `kid:base64url` pairs joined by commas."""
        return ",".join(
            f"{kid}:{urlsafe_b64encode(derive(master, instance_id)).decode()}" for kid, master in self.masters.items()
        )


def derive(master: bytes, instance_id: UUID) -> bytes:
    """The 32-byte HS256 key of one Instance."""
    return hmac.digest(master, b"guard:" + str(instance_id).encode(), "sha256")
