"""Instances for tests of pure decisions."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from provisioner.instance import Instance, MachineId, State, UserId

ADA = UserId(UUID("aaaaaaaa-0000-4000-8000-000000000001"))
GRACE = UserId(UUID("bbbbbbbb-0000-4000-8000-000000000002"))
THEN = datetime(2026, 1, 1, tzinfo=UTC)


def an_instance(**given: Any) -> Instance:
    """Ada's, ACTIVE, except for what is given."""
    values: dict[str, Any] = {
        "user_id": ADA,
        "id": UUID("cccccccc-0000-4000-8000-000000000003"),
        "email": "ada@example.com",
        "state": State.ACTIVE,
        "app_name": "jarvis-machines",
        "machine_name": "jarvis-test-0123456789ab",
        "region": "fra",
        "machine_id": MachineId("148e000000000a"),
        "volume_id": "vol_1",
        "private_ip": "127.1.2.3",
        "image": "golden",
        "last_active": THEN,
        "state_since": THEN,
        "created_at": THEN,
        "error": None,
    }
    return Instance(**{**values, **given})
