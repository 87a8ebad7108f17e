"""Who may operate: names, roles, and tokens of which only a hash is kept."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, Protocol

TOKEN_PREFIX: Final = "jvo_"  # noqa: S105  no secret, but the mark of one
"""So that a token in the wrong place is known for one, by people and by scanners."""
_ACTOR: Final = "operator:"
_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,39}")


class Role(StrEnum):
    """What somebody may do. Each may do all that those before it may."""

    VIEWER = "viewer"  # looks, changes nothing
    OPERATOR = "operator"  # starts and stops
    OWNER = "owner"  # destroys, and says who may operate

    def covers(self, least: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One holder of an admin token."""

    name: str
    role: Role
    created_at: datetime | None = None
    """None: not in the table, but the bearer of ADMIN_TOKEN."""
    last_used_at: datetime | None = None
    """To the minute."""
    revoked_at: datetime | None = None

    @property
    def actor(self) -> str:
        """As the audit log names them; the prefix tells an operator called `sweeper` from the sweeper."""
        return f"{_ACTOR}{self.name}"


class NameTaken(Exception):
    """Somebody has or had this name. It is never given away again: the audit log would name the wrong one."""


class Operators(Protocol):
    """The operators on record."""

    async def bearer(self, token_hash: bytes) -> Operator | None:
        """Who holds the token with this hash; None if nobody does or it was revoked. Notes the use, to the minute."""

    async def add(self, name: str, role: Role, token_hash: bytes) -> Operator:
        """Raises NameTaken."""

    async def all(self) -> Sequence[Operator]:
        """Everybody, revoked ones too, by name."""

    async def revoke(self, name: str) -> Operator | None:
        """From now on their token opens nothing, on any replica. None: nobody of this name. Twice is once."""


def is_operator(actor: str) -> bool:
    """Whether the audit log's `actor` is an operator."""
    return actor.startswith(_ACTOR)


def is_name(text: object) -> bool:
    """Whether an operator may be called so."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def new_token() -> str:
    """256 random bits to hand out once."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_of(token: str) -> bytes:
    """What is kept of a token. Plain SHA-256 is enough for what nobody can guess."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()
