"""Names at Fly, derived from what we know before anything exists: the ground of idempotency."""

from hashlib import sha256
from typing import Final
from uuid import UUID

from provisioner.instance import Instance, UserId

VOLUME_PATH: Final = "/data"


def short_hash(user_id: UserId) -> str:
    """Twelve hex digits that stand for a user at Fly, where names are seen by more people than user ids should be."""
    return sha256(str(user_id).encode()).hexdigest()[:12]


def machine_name(env: str, user_id: UserId) -> str:
    """Unique within an app, so that Fly itself refuses a second Machine for one user."""
    return f"jarvis-{env}-{short_hash(user_id)}"


def app_name(env: str, user_id: UserId, instance_id: UUID) -> str:
    """The app of one Instance (`isolation` APP); names of apps are unique over all of Fly.

    The Instance is in it because the name of a deleted app may stay taken for a while: who comes back gets another.
    """
    return f"{app_prefix(env)}{short_hash(user_id)}-{instance_id.hex[:6]}"


def app_prefix(env: str) -> str:
    """What the names of all apps of an environment begin with."""
    return f"jarvis-{env}-"


def network_name(instance_id: UUID) -> str:
    """The private network of one Instance's app. Apps carry no metadata, so this is how one is known to be ours."""
    return f"jarvis-{instance_id.hex}"


def volume_name(user_id: UserId) -> str:
    """Names of volumes need not be unique at Fly; this one lets a lost answer be found again (30 chars at most)."""
    return f"jarvis_{short_hash(user_id)}"


def ownership(instance: Instance, *, env: str, deployment: str) -> dict[str, str]:
    """The metadata that says whose Machine it is. What does not carry it is never touched."""
    return {"gateway_env": env, "deployment": deployment, "instance": str(instance.id)}
