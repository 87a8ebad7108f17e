"""The project's signing keys: their life, what of them is published, and signing with the one in use."""

import json
import secrets
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.types import Options

from localcloud.auth.project import SigningMode
from localcloud.auth.records import SigningKey
from localcloud.auth.store import Store

LEGACY_ID: Final = "legacy-jwt-secret"
NO_TIME_CHECKS: Final[Options] = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}


class KeyState(StrEnum):
    STANDBY = "standby"
    IN_USE = "in_use"
    PREVIOUSLY_USED = "previously_used"
    REVOKED = "revoked"


class KeyEvent(StrEnum):
    PROMOTE = "promote"
    SUPERSEDE = "supersede"
    REVOKE = "revoke"
    RESTORE = "restore"


STEPS: Final = {
    (KeyState.STANDBY, KeyEvent.PROMOTE): KeyState.IN_USE,
    (KeyState.IN_USE, KeyEvent.SUPERSEDE): KeyState.PREVIOUSLY_USED,  # verifies, signs no more
    (KeyState.STANDBY, KeyEvent.REVOKE): KeyState.REVOKED,
    (KeyState.PREVIOUSLY_USED, KeyEvent.REVOKE): KeyState.REVOKED,  # its tokens are worth nothing from here on
    (KeyState.PREVIOUSLY_USED, KeyEvent.RESTORE): KeyState.STANDBY,
    (KeyState.REVOKED, KeyEvent.RESTORE): KeyState.STANDBY,
}


class IllegalKeyStep(Exception):
    """`event` means nothing to a key in `state`. Nothing was changed."""

    def __init__(self, state: KeyState, event: KeyEvent) -> None:
        super().__init__(f"a key that is {state} cannot {event}")


class UnknownKey(Exception):
    """No key here has this id, or it is revoked."""


class KeyRing:
    """Exactly one key is in use at any time; the legacy secret is a key like the others, but never published."""

    def __init__(self, store: Store, signing: SigningMode, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        if store.find(SigningKey, id=LEGACY_ID) is None:
            self._add(LEGACY_ID, "HS256", KeyState.PREVIOUSLY_USED, secrets.token_urlsafe(48))
        current = store.find(SigningKey, state=KeyState.IN_USE)
        if current is None or current.algorithm != signing:
            self.rotate(signing)

    @property
    def legacy_secret(self) -> str:
        return self._key(LEGACY_ID).private

    def all(self) -> list[SigningKey]:
        return self._store.all(SigningKey)

    def create_standby(self, algorithm: SigningMode) -> str:
        """The id of a new key that is published but does not sign yet."""
        if algorithm == "HS256":
            self._step(self._key(LEGACY_ID), KeyEvent.RESTORE)
            return LEGACY_ID
        return self._add(str(uuid4()), algorithm, KeyState.STANDBY, _new_private(algorithm))

    def rotate(self, algorithm: SigningMode = "ES256") -> str:
        """Put the oldest standby of this algorithm in use, creating one if there is none; its id."""
        with self._store.transaction():
            standby = self._store.find(SigningKey, state=KeyState.STANDBY, algorithm=algorithm)
            chosen = standby or self._key(self.create_standby(algorithm))
            current = self._store.find(SigningKey, state=KeyState.IN_USE)
            if current is not None:
                self._step(current, KeyEvent.SUPERSEDE)
            self._step(chosen, KeyEvent.PROMOTE)
        return chosen.id

    def revoke(self, key_id: str) -> None:
        """Unpublish a key and distrust what it signed.

        Raises:
            IllegalKeyStep: it is in use; rotate first.
            UnknownKey: there is none of this id.
        """
        self._step(self._key(key_id), KeyEvent.REVOKE)

    def restore(self, key_id: str) -> None:
        """Back to standby, from previously used or revoked."""
        self._step(self._key(key_id), KeyEvent.RESTORE)

    def published(self) -> list[dict[str, Any]]:
        """The public JWKs. Empty for a project that knows only its secret."""
        return [
            _public_jwk(key.id, key.algorithm, key.private)
            for key in self.all()
            if key.algorithm != "HS256" and key.state != KeyState.REVOKED
        ]

    def sign(self, claims: dict[str, Any]) -> str:
        key = self._store.find(SigningKey, state=KeyState.IN_USE)
        if key is None:
            raise UnknownKey("nothing in use")
        headers = None if key.algorithm == "HS256" else {"kid": key.id}
        return jwt.encode(claims, _signing_key(key.algorithm, key.private), algorithm=key.algorithm, headers=headers)

    def sign_legacy(self, claims: dict[str, Any]) -> str:
        """Signed with the JWT secret whatever is in use: what `anon` and `service_role` keys are."""
        return jwt.encode(claims, self.legacy_secret, algorithm="HS256")

    def verify(self, token: str) -> dict[str, Any]:
        """Claims of a token that one of the unrevoked keys signed. Times are not looked at.

        Raises:
            jwt.InvalidTokenError: malformed, forged, or of an algorithm that is not its key's.
            UnknownKey: signed by a key that is not here or is revoked.
        """
        header = jwt.get_unverified_header(token)
        key = self._key(LEGACY_ID if header.get("alg") == "HS256" else str(header.get("kid")))
        if key.state == KeyState.REVOKED:
            raise UnknownKey(key.id)
        public = key.private if key.algorithm == "HS256" else _signing_key(key.algorithm, key.private).public_key()
        claims: dict[str, Any] = jwt.decode(token, public, algorithms=[key.algorithm], options=NO_TIME_CHECKS)
        return claims

    def _key(self, key_id: str) -> SigningKey:
        key = self._store.find(SigningKey, id=key_id)
        if key is None:
            raise UnknownKey(key_id)
        return key

    def _add(self, key_id: str, algorithm: str, state: KeyState, private: str) -> str:
        self._store.save(
            SigningKey(id=key_id, algorithm=algorithm, state=state, private=private, created_at=self._now())
        )
        return key_id

    def _step(self, key: SigningKey, event: KeyEvent) -> None:
        state = KeyState(key.state)
        if (state, event) not in STEPS:
            raise IllegalKeyStep(state, event)
        key.state = STEPS[state, event]
        self._store.save(key)


def _new_private(algorithm: SigningMode) -> str:
    private = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@lru_cache(maxsize=64)
def _signing_key(algorithm: str, private: str) -> Any:
    return private if algorithm == "HS256" else load_pem_private_key(private.encode(), password=None)


@lru_cache(maxsize=64)
def _public_jwk(key_id: str, algorithm: str, private: str) -> dict[str, Any]:
    maker = ECAlgorithm if algorithm == "ES256" else RSAAlgorithm
    public = json.loads(maker.to_jwk(_signing_key(algorithm, private).public_key()))
    return {**public, "kid": key_id, "alg": algorithm, "use": "sig", "key_ops": ["verify"], "ext": True}
