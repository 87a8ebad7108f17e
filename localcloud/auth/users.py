"""From a Google account to a user: find, link or create."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from localcloud.auth.errors import EMAIL_UNVERIFIED, SIGNUP_DISABLED, USER_BANNED, DatabaseRefused, Refusal, Refused
from localcloud.auth.google import Account
from localcloud.auth.records import Identity, User
from localcloud.auth.service import Service


def google_metadata(account: Account) -> dict[str, Any]:
    """What Auth keeps of a Google profile, in `user_metadata` and in the identity."""
    data: dict[str, Any] = {
        "iss": "https://accounts.google.com",
        "sub": account.sub,
        "name": account.name,
        "full_name": account.name,
        "picture": account.picture,
        "avatar_url": account.picture,
        "provider_id": account.sub,
        "email": account.email,
        "email_verified": account.email_verified,
        "phone_verified": False,
    }
    if account.hosted_domain:
        data["custom_claims"] = {"hd": account.hosted_domain}
    return data


async def sign_in(service: Service, account: Account) -> User:
    """The user behind a Google account, created at the first sign-in.

    Two first sign-ins at once give one user. `user_metadata` is refreshed from Google each time.

    Raises:
        Refused: sign-ups are off, the address is unverified, or the user is banned.
    """
    now = service.now()
    with service.store.transaction():
        identity = service.store.find(Identity, provider="google", provider_id=account.sub)
        user = None
        if identity:
            user = service.store.find(User, id=identity.user_id)
        elif account.email_verified:  # or anybody could take over an account by claiming its address
            user = service.store.find(User, email=account.email)
        is_new = user is None
        if user is None:
            user = _new_user(service, account, now)
        if user.is_banned(now):
            raise Refused(USER_BANNED)
        user.user_metadata = {**user.user_metadata, **google_metadata(account)}
        user.updated_at = now
        service.store.save(user)
        service.store.save(_identity(identity, user, account, now))
    try:
        await service.mirror.user(user)
    except DatabaseRefused as refused:
        if is_new:
            service.store.delete(User, id=user.id)
        raise Refused(Refusal(500, "unexpected_failure", "Database error saving new user")) from refused
    return user


def _new_user(service: Service, account: Account, now: datetime) -> User:
    if service.project.disable_signup:
        raise Refused(SIGNUP_DISABLED)
    if not account.email_verified:
        raise Refused(EMAIL_UNVERIFIED)
    return User(
        id=str(uuid4()),
        email=account.email,
        app_metadata={"provider": "google", "providers": ["google"]},
        user_metadata={},
        created_at=now,
        updated_at=now,
        email_confirmed_at=now,
    )


def _identity(known: Identity | None, user: User, account: Account, now: datetime) -> Identity:
    return Identity(
        id=known.id if known else str(uuid4()),
        user_id=user.id,
        provider="google",
        provider_id=account.sub,
        identity_data=google_metadata(account),
        created_at=known.created_at if known else now,
        updated_at=now,
        last_sign_in_at=now,
    )
