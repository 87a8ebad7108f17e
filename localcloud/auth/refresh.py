"""What becomes of a presented refresh token. Pure: the rules of both kinds, and the format of the newer one.

An old token is opaque and remembered; using it swaps it for a child. A new token counts: it names its session and
how many swaps came before, signed with the session's own key, and nothing of it is stored.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

from localcloud.auth.records import RefreshToken, Session

OPAQUE: Final = re.compile(r"[a-z0-9]{12}")
COUNTING: Final = re.compile(r"[A-Za-z0-9_-]{51,62}")
MAC_BYTES: Final = 20


class Verdict(Enum):
    SWAP = "a new token replaces this one"
    REPEAT = "the current token is told again: the caller lost a race, or its answer was lost"
    KILL = "reused too late; somebody else has it, so nobody may go on"
    FOREIGN = "not from here"


def judge_rotating(
    presented: RefreshToken, active: RefreshToken | None, *, now: datetime, reuse_interval: timedelta
) -> Verdict:
    """The verdict on an opaque token, given the session's newest unrevoked one."""
    if not presented.revoked:
        return Verdict.SWAP
    if active is not None and active.parent == presented.id:
        return Verdict.REPEAT  # at any age: the child was issued but perhaps never arrived
    if now <= presented.updated_at + reuse_interval:
        return Verdict.SWAP  # forks: the family now has two living branches
    return Verdict.KILL


def judge_counting(counter: int, session: Session, *, now: datetime, reuse_interval: timedelta) -> Verdict:
    """The verdict on a counting token that carries `counter`."""
    behind = session.refresh_counter - counter
    if behind < 0:
        return Verdict.FOREIGN
    if behind == 0:
        return Verdict.SWAP
    refreshed = session.refreshed_at or session.created_at
    if behind == 1 or abs(now - refreshed) < reuse_interval:
        return Verdict.REPEAT
    return Verdict.KILL


@dataclass(frozen=True, slots=True)
class Counting:
    """A counting token taken apart; not to be believed before `genuine`."""

    session_id: str
    counter: int
    mac: bytes


def counting_token(session: Session) -> str:
    """The current refresh token of `session`."""
    payload = _payload(session.id, session.refresh_counter)
    return urlsafe_b64encode(payload + _mac(session, payload)).rstrip(b"=").decode()


def read_counting(token: str) -> Counting | None:
    """Its parts, or None if this is no such token."""
    if not COUNTING.fullmatch(token):
        return None
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    if raw[0] != 0:
        return None
    counter = int.from_bytes(raw[17:-MAC_BYTES], "big")
    return Counting(str(UUID(bytes=raw[1:17])), counter, raw[-MAC_BYTES:])


def genuine(parts: Counting, session: Session) -> bool:
    return hmac.compare_digest(parts.mac, _mac(session, _payload(parts.session_id, parts.counter)))


def _payload(session_id: str, counter: int) -> bytes:
    width = max(1, (counter.bit_length() + 7) // 8)
    return b"\0" + UUID(session_id).bytes + counter.to_bytes(width, "big")


def _mac(session: Session, payload: bytes) -> bytes:
    return hmac.digest(bytes.fromhex(session.refresh_key), payload, hashlib.sha256)[:MAC_BYTES]
