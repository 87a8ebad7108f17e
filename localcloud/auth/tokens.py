"""What an access token and a session look like to a client. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from localcloud.auth.records import Identity, Session, User


def access_claims(user: User, session: Session, *, issuer: str, issued_at: datetime, lifetime_s: int) -> dict[str, Any]:
    """The claims of an access token: no `jti`, no `nbf`, and `aud` a plain string."""
    iat = int(issued_at.timestamp())
    return {
        "iss": issuer,
        "sub": user.id,
        "aud": "authenticated",
        "exp": iat + lifetime_s,
        "iat": iat,
        "email": user.email,
        "phone": "",
        "app_metadata": user.app_metadata,
        "user_metadata": user.user_metadata,
        "role": user.role,
        "aal": "aal1",
        "amr": [{"method": "oauth", "timestamp": int(session.created_at.timestamp())}],
        "session_id": session.id,
        "is_anonymous": False,
    }


def legacy_key_claims(role: str, issued_at: datetime) -> dict[str, Any]:
    """An `anon` or `service_role` API key of the old kind: ten years, no user."""
    iat = int(issued_at.timestamp())
    return {"iss": "supabase", "ref": "local", "role": role, "iat": iat, "exp": iat + 10 * 365 * 86400}


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with a `Z`, as Go writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def user_json(user: User, identities: Sequence[Identity]) -> dict[str, Any]:
    """The `user` object of every answer. Times that are not set are left out."""
    times = {
        "email_confirmed_at": user.email_confirmed_at,
        "confirmed_at": user.email_confirmed_at,
        "last_sign_in_at": user.last_sign_in_at,
        "banned_until": user.banned_until,
        "deleted_at": user.deleted_at,
    }
    return {
        "id": user.id,
        "aud": "authenticated",
        "role": user.role,
        "email": user.email,
        "phone": "",
        **{name: timestamp(moment) for name, moment in times.items() if moment},
        **({"new_email": user.new_email} if user.new_email else {}),
        "app_metadata": user.app_metadata,
        "user_metadata": user.user_metadata,
        "identities": [identity_json(identity) for identity in identities],
        "created_at": timestamp(user.created_at),
        "updated_at": timestamp(user.updated_at),
        "is_anonymous": False,
    }


def identity_json(identity: Identity) -> dict[str, Any]:
    return {
        "identity_id": identity.id,
        "id": identity.provider_id,
        "user_id": identity.user_id,
        "identity_data": identity.identity_data,
        "provider": identity.provider,
        "last_sign_in_at": timestamp(identity.last_sign_in_at),
        "created_at": timestamp(identity.created_at),
        "updated_at": timestamp(identity.updated_at),
        "email": identity.identity_data.get("email", ""),
    }
