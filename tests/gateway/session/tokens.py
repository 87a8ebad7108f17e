"""Access tokens as Supabase signs them, and every way to sign them wrongly."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.session.claims import Trust

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ISSUER = "https://ref.supabase.co/auth/v1"
SECRET = "a-legacy-secret-of-more-than-32-bytes!"
TRUST = Trust(issuer=ISSUER)
LEGACY = Trust(issuer=ISSUER, legacy_secret=SECRET)
ADA = UUID("0b6e1a9e-1f4f-4f2e-9c76-2f6f1c1d0a01")
SESSION = UUID("7d3f0f57-52f7-4c8b-8d3d-9b0b0d7f0b02")

EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, kid: str, **more: object) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "alg": "RS256", "kid": kid, "use": "sig", **more}
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "alg": "ES256", "kid": kid, "use": "sig", **more}


KEYS = {"ec": jwt.PyJWK(public_jwk(EC_KEY, "ec")), "rsa": jwt.PyJWK(public_jwk(RSA_KEY, "rsa"))}
GONE = object()


def claims(now: datetime | None = None, **changes: object) -> dict[str, Any]:
    """What Supabase writes for a Google user at `now` (NOW), with changes; GONE leaves a claim out."""
    seconds = int((now or NOW).timestamp())
    usual: dict[str, object] = {
        "iss": ISSUER,
        "sub": str(ADA),
        "aud": "authenticated",
        "exp": seconds + 3600,
        "iat": seconds,
        "email": "ada@example.com",
        "phone": "",
        "app_metadata": {"provider": "google", "providers": ["google"]},
        "user_metadata": {"full_name": "Ada Lovelace"},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "oauth", "timestamp": seconds}],
        "session_id": str(SESSION),
        "is_anonymous": False,
    }
    return {name: value for name, value in (usual | changes).items() if value is not GONE}


def sign(
    content: dict[str, Any], *, key: Any = EC_KEY, alg: str = "ES256", kid: str | None = "ec", **header: Any
) -> str:
    headers = {**({"kid": kid} if kid is not None else {}), **header}
    return jwt.encode(content, key, algorithm=alg, headers=headers)


def part(content: object) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign_raw(payload: bytes, header: bytes = b'{"alg":"ES256","typ":"JWT","kid":"ec"}') -> str:
    """A good signature over bytes that no honest encoder writes."""
    signed = f"{part(header)}.{part(payload)}"
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    return f"{signed}.{part(algorithm.sign(signed.encode(), EC_KEY))}"


def hs256(content: dict[str, Any], secret: bytes, **header: Any) -> str:
    """Signed by hand: PyJWT refuses to use a public key as a secret, an attacker does not."""
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', **header})}.{part(content)}"
    return f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"
