"""Names at Fly, derived from what we know before anything exists: the ground of idempotency."""

from hashlib import sha256
from typing import Final

from provisioner.instance import Instance, UserId

VOLUME_PATH: Final = "/data"


def short_hash(user_id: UserId) -> str:
    """Twelve hex digits that stand for a user at Fly, where names are seen by more people than user ids should be."""
    return sha256(str(user_id).encode()).hexdigest()[:12]


def machine_name(env: str, user_id: UserId) -> str:
    """Unique within an app, so that Fly itself refuses a second Machine for one user."""
    return f"jarvis-{env}-{short_hash(user_id)}"


def volume_name(user_id: UserId) -> str:
    """Names of volumes need not be unique at Fly; this one lets a lost answer be found again (30 chars at most)."""
    return f"jarvis_{short_hash(user_id)}"


def ownership(instance: Instance, *, env: str, deployment: str) -> dict[str, str]:
    """The metadata that says whose Machine it is. What does not carry it is never touched."""
    return {"gateway_env": env, "deployment": deployment, "instance": str(instance.id)}
