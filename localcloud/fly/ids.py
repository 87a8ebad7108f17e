"""Ids in Fly's formats."""

import secrets
from datetime import datetime

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def machine_id() -> str:
    """14 hex digits."""
    return secrets.token_hex(7)


def volume_id() -> str:
    return "vol_" + secrets.token_hex(8)


def snapshot_id() -> str:
    return "vs_" + secrets.token_hex(8)


def machine_name() -> str:
    """For a Machine created without one."""
    return "machine-" + secrets.token_hex(4)


def ulid(at: datetime) -> str:
    """26 characters that sort by time to the millisecond: versions and events."""
    value = int(at.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def nonce() -> str:
    return secrets.token_hex(6)
