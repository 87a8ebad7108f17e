"""Beginning a session, going on with it, ending it."""

import secrets
import string
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from localcloud.auth import refresh
from localcloud.auth.edge import caller_address
from localcloud.auth.errors import (
    REFRESH_BANNED,
    REFRESH_EXPIRED,
    REFRESH_MALFORMED,
    REFRESH_NO_SESSION,
    REFRESH_NOT_FOUND,
    REFRESH_USED,
    Refused,
    validation,
)
from localcloud.auth.records import RefreshToken, Session, User
from localcloud.auth.refresh import Verdict
from localcloud.auth.service import SERVICE, Service
from localcloud.auth.tokens import access_claims

ALPHABET: Final = string.ascii_lowercase + string.digits


async def begin(request: web.Request, user: User) -> dict[str, Any]:
    """A new session of `user`, as the token answer."""
    service = request.app[SERVICE]
    now = service.now()
    session = Session(
        id=str(uuid4()), user_id=user.id, created_at=now, updated_at=now, refresh_key=secrets.token_hex(32)
    )
    _stamp(session, request)
    user.last_sign_in_at = user.updated_at = now
    with service.store.transaction():
        service.store.save(session)
        service.store.save(user)
        if service.project.refresh_kind == "counter":
            token = refresh.counting_token(session)
        else:
            token = _new_opaque(service, session, parent=None, now=now)
    await service.mirror.user(user)
    await service.mirror.session(session)
    return _answer(service, user, session, token)


async def go_on(request: web.Request, presented: str) -> dict[str, Any]:
    """The answer to a refresh.

    Raises:
        Refused: the token is malformed, unknown, used too late, or its session or user may not go on.
    """
    service = request.app[SERVICE]
    parts = refresh.read_counting(presented)
    if parts is None and not refresh.OPAQUE.fullmatch(presented):
        raise Refused(REFRESH_MALFORMED)
    known = None if parts else service.store.find(RefreshToken, id=presented)
    session_id = parts.session_id if parts else known.session_id if known else ""
    session = service.store.find(Session, id=session_id)
    if session is None or (parts and not refresh.genuine(parts, session)):
        raise Refused(REFRESH_NOT_FOUND)
    user = service.store.find(User, id=session.user_id)
    if user is None:
        raise Refused(REFRESH_NO_SESSION)
    now = service.now()
    if user.is_banned(now):
        raise Refused(REFRESH_BANNED)
    if session.not_after and session.not_after <= now:
        raise Refused(REFRESH_EXPIRED)
    token = (
        await _turn_counter(service, session, parts.counter)
        if parts
        else _turn_opaque(service, session, known)
        if known
        else ""
    )
    session.refreshed_at = session.updated_at = now
    _stamp(session, request)
    service.store.save(session)
    await service.mirror.session(session)
    return _answer(service, user, session, token)


def _turn_opaque(service: Service, session: Session, presented: RefreshToken) -> str:
    now = service.now()
    active = service.store.active_refresh_token(session.id)
    match refresh.judge_rotating(presented, active, now=now, reuse_interval=_forgiven(service)):
        case Verdict.SWAP:
            with service.store.transaction():
                presented.revoked, presented.updated_at = True, now
                service.store.save(presented)
                return _new_opaque(service, session, parent=presented.id, now=now)
        case Verdict.REPEAT if active is not None:
            return active.id
        case _:
            service.store.revoke_family(session.id, now)
            raise Refused(REFRESH_USED)


async def _turn_counter(service: Service, session: Session, counter: int) -> str:
    match refresh.judge_counting(counter, session, now=service.now(), reuse_interval=_forgiven(service)):
        case Verdict.SWAP:
            session.refresh_counter += 1
        case Verdict.REPEAT:
            pass
        case Verdict.FOREIGN:
            raise validation("Invalid Refresh Token: Not Issued By This Server")
        case Verdict.KILL:
            await end(service, session)
            raise Refused(REFRESH_USED)
    return refresh.counting_token(session)


async def end(service: Service, session: Session) -> None:
    """Forget a session; its refresh tokens go with it, its access token lives on until it expires."""
    service.store.delete(Session, id=session.id)
    await service.mirror.forget_session(session.id)


def _forgiven(service: Service) -> timedelta:
    return timedelta(seconds=service.project.reuse_interval_s)


def _new_opaque(service: Service, session: Session, *, parent: str | None, now: datetime) -> str:
    token = "".join(secrets.choice(ALPHABET) for _ in range(12))
    service.store.save(
        RefreshToken(id=token, session_id=session.id, parent=parent, revoked=False, created_at=now, updated_at=now)
    )
    return token


def _stamp(session: Session, request: web.Request) -> None:
    session.user_agent = request.headers.get("User-Agent")
    session.ip = caller_address(request) or None


def _answer(service: Service, user: User, session: Session, refresh_token: str) -> dict[str, Any]:
    claims = access_claims(
        user,
        session,
        issuer=service.issuer,
        issued_at=service.now(),
        lifetime_s=service.project.token_lifetime_s,
    )
    return {
        "access_token": service.keys.sign(claims),
        "token_type": "bearer",
        "expires_in": service.project.token_lifetime_s,
        "expires_at": claims["exp"],
        "refresh_token": refresh_token,
        "user": service.describe(user),
    }
