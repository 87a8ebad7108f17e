"""What the admin API shows of an Instance."""

from typing import Any

from provisioner.instance import Instance
from provisioner.ports import Waiting


def instance_json(instance: Instance, waiting: Waiting | None = None) -> dict[str, Any]:
    """One Instance for the operator: everything we know but keys. Times are ISO 8601 in UTC."""
    return {
        "user_id": str(instance.user_id),
        "id": str(instance.id),
        "email": instance.email,
        "state": instance.state.value,
        "state_since": instance.state_since.isoformat(),
        "last_active": instance.last_active.isoformat(),
        "created_at": instance.created_at.isoformat(),
        "app_name": instance.app_name,
        "machine_name": instance.machine_name,
        "machine_id": instance.machine_id,
        "volume_id": instance.volume_id,
        "private_ip": instance.private_ip,
        "region": instance.region,
        "image": instance.image,
        "error": instance.error,
        "queue": None
        if waiting is None
        else {
            "error": waiting.error,
            "retry_count": waiting.retry_count,
            "next_retry_at": waiting.next_retry_at.isoformat(),
            "place": waiting.place,
        },
    }
