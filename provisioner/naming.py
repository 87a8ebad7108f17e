"""Names at Fly, derived from what we know before anything exists: the ground of idempotency."""

from hashlib import sha256
from typing import Final
from uuid import UUID

from provisioner.instance import Instance, UserId
from provisioner.spares import Spare

VOLUME_PATH: Final = "/data"


def short_hash(user_id: UserId) -> str:
    """Twelve hex digits that stand for a user at Fly, where names are seen by more people than user ids should be."""
    return sha256(str(user_id).encode()).hexdigest()[:12]


def machine_name(env: str, user_id: UserId) -> str:
    """Unique within an app, so that Fly itself refuses a second Machine for one user."""
    return f"jarvis-{env}-{short_hash(user_id)}"


def spare_name(env: str, spare_id: UUID) -> str:
    """Of the Machine of a spare, and in `isolation` APP of its app. Whose it is later says our row, by this name.

    Never that of a user's own Machine: those end in twelve hex digits alone.
    """
    return f"jarvis-{env}-spare-{spare_id.hex[:12]}"


def is_spare(machine_name: str) -> bool:
    """Whether a Machine of this name was made ahead, for nobody."""
    return machine_name.split("-")[2:3] == ["spare"]  # an environment has no dash in its name


def spare_volume_name(spare_id: UUID) -> str:
    """See `volume_name`."""
    return f"jarvis_spare_{spare_id.hex[:12]}"


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


def instance_of(app: str, network: str) -> UUID | None:
    """The Instance that an app was made for, if name and network both say so; None for anybody else's app."""
    try:
        instance_id = UUID(network.removeprefix("jarvis-"))
    except ValueError:
        return None
    ours = network == network_name(instance_id) and app.endswith(f"-{instance_id.hex[:6]}")
    return instance_id if ours else None


def volume_name(user_id: UserId) -> str:
    """Names of volumes need not be unique at Fly; this one lets a lost answer be found again (30 chars at most)."""
    return f"jarvis_{short_hash(user_id)}"


def ownership(instance: Instance | Spare, *, env: str, deployment: str) -> dict[str, str]:
    """The metadata that says whose Machine it is. What does not carry it is never touched.

    The id of a spare becomes that of the Instance which claims it, so this holds from the first day on.
    """
    return {"gateway_env": env, "deployment": deployment, "instance": str(instance.id)}
