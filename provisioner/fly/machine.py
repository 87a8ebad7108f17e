"""Fly's JSON ↔ our shapes: reads Machines and Volumes, writes the bodies that create them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from provisioner.instance import Guest, MachineId
from provisioner.ports import Machine, MachineSpec, MachineState, Volume, VolumeSource

MOUNT_PATH: Final = "/data"
STOP_SIGNAL: Final = "SIGTERM"
STOP_TIMEOUT: Final = timedelta(seconds=10)
VOLUME_GOING: Final = frozenset(
    {"scheduling_destroy", "waiting_for_detach", "pending_destroy", "destroying", "destroyed"}
)


def machine_of(payload: object) -> Machine:
    """The Machine that `payload` describes. Raises ValueError if it describes none.

    While the host is not reachable Fly leaves `config` out and sends what it remembers as `incomplete_config`: good
    enough to know a Machine by, never to update or recreate one from. A state we have never met is UNKNOWN.
    """
    fields = _mapping(payload)
    config = _mapping(fields.get("config") or fields.get("incomplete_config") or {})
    metadata = _mapping(config.get("metadata") or {})
    mounts = [_mapping(mount) for mount in _sequence(config.get("mounts") or [])]
    return Machine(
        id=MachineId(_required(fields, "id")),
        name=_text(fields, "name"),
        state=state_of(fields.get("state")),
        region=_text(fields, "region"),
        version=_text(fields, "instance_id") or _text(fields, "version"),
        private_ip=_text(fields, "private_ip") or None,
        volume_id=next((_text(mount, "volume") for mount in mounts if mount.get("volume")), None),
        image=_text(config, "image") or _image(_mapping(fields.get("image_ref") or {})),
        metadata={key: value for key, value in metadata.items() if isinstance(value, str)},
        host_ok=(fields.get("host_status") or "ok") == "ok",
        guest=_guest_of(config.get("guest")),
    )


def config_of(payload: object) -> tuple[Machine, Mapping[str, object]]:
    """The Machine, and its whole config, from which alone it may be updated; empty if Fly does not show it all."""
    machine = machine_of(payload)
    config = _mapping(payload).get("config")
    return machine, _mapping(config) if config and machine.host_ok else {}


def machines_of(payload: object) -> list[Machine]:
    """Raises ValueError."""
    return [machine_of(item) for item in _sequence(payload)]


def volume_of(payload: object) -> Volume:
    """The Volume that `payload` describes. Raises ValueError if it describes none."""
    fields = _mapping(payload)
    size_gb = fields.get("size_gb")
    return Volume(
        id=_required(fields, "id"),
        name=_text(fields, "name"),
        state=_text(fields, "state"),
        region=_text(fields, "region"),
        size_gb=size_gb if isinstance(size_gb, int) else 0,
        attached_machine_id=MachineId(attached) if (attached := _text(fields, "attached_machine_id")) else None,
    )


def volumes_of(payload: object) -> list[Volume]:
    """All but those on their way out: Fly lists a deleted volume for a day more. Raises ValueError."""
    return [volume for item in _sequence(payload) if (volume := volume_of(item)).state not in VOLUME_GOING]


def reached_of(payload: object) -> MachineState | None:
    """The state a wait ended in; None if the answer does not say, as all its fields are optional."""
    state = payload.get("state") if isinstance(payload, dict) else None
    return state_of(state) if state else None


def resumes_of(payload: object) -> bool:
    """Whether what a start was told says that a suspended Machine stays where it is."""
    return (
        isinstance(payload, dict)
        and payload.get("previous_state") == MachineState.SUSPENDED
        and not payload.get("migrated")
    )


@dataclass(frozen=True, slots=True)
class AppSeen:
    """An app as Fly describes it. `organisation` is a slug; each is "" if Fly does not say."""

    id: str
    organisation: str
    network: str


def apps_of(payload: object) -> dict[str, str]:
    """Networks by the names of apps. Raises ValueError."""
    listed = [_mapping(item) for item in _sequence(_mapping(payload).get("apps") or [])]
    return {_required(fields, "name"): _text(fields, "network") for fields in listed}


def app_of(payload: object) -> AppSeen:
    """Raises ValueError."""
    fields = _mapping(payload)
    organisation = _text(_mapping(fields.get("organization") or {}), "slug")
    return AppSeen(_text(fields, "id"), organisation, _text(fields, "network"))


def address_of(payload: object) -> str | None:
    """The address in the answer to an assignment; None if it does not say: its fields are hardly documented."""
    return _text(payload, "ip") or None if isinstance(payload, dict) else None


def flycast_of(payload: object) -> str | None:
    """The private address among those of an app, None if it has none. Raises ValueError."""
    for item in _sequence(_mapping(payload).get("ips") or []):
        fields = _mapping(item)
        address = _text(fields, "ip")
        if address and not fields.get("shared") and not fields.get("egress") and _is_private(address):
            return address
    return None


def _is_private(address: str) -> bool:
    """Flycast addresses are in Fly's fdaa::/16; the local Fly's on loopback, with a port where there is but one."""
    try:
        return ip_address(address.partition(":")[0] if address.count(":") == 1 else address).is_private
    except ValueError:
        return False


def state_of(word: object) -> MachineState:
    try:
        return MachineState(word)  # type: ignore[arg-type]
    except ValueError:
        return MachineState.UNKNOWN


def machine_body(spec: MachineSpec) -> dict[str, object]:
    """The body that creates a user's Machine.

    No service, so Fly Proxy can neither reach, wake nor stop it, or one for the app's private address, which Fly Proxy
    neither wakes nor stops: that is ours to do. Its port has no handlers, so bytes pass as they are. No swap, as that
    would rule out suspending; no secrets of the app, should an operator ever have set some on it.
    """
    return {
        "name": spec.name,
        "region": spec.region,
        "skip_secrets": True,
        "config": {
            "image": spec.image,
            "guest": _guest(spec.guest),
            "env": dict(spec.env),
            "metadata": dict(spec.metadata),
            "mounts": [{"volume": spec.volume_id, "path": MOUNT_PATH}],
            "services": [] if spec.service_port is None else [_service(spec.service_port)],
            "restart": {"policy": "on-failure", "max_retries": 10},
            "stop_config": {"signal": STOP_SIGNAL, "timeout": go_duration(STOP_TIMEOUT)},
            "auto_destroy": False,
        },
    }


def latest_snapshot_of(payload: object) -> str | None:
    """The id of the newest snapshot that is finished, None if there is none. Raises ValueError."""
    finished = [
        (_text(fields, "created_at"), _required(fields, "id"))
        for item in _sequence(payload)
        if _text(fields := _mapping(item), "status") in ("created", "")
    ]
    return max(finished)[1] if finished else None


def volume_body(
    *, name: str, region: str, size_gb: int, guest: Guest, source: VolumeSource | None = None
) -> dict[str, object]:
    """The body that creates a user's disk, on a host that has room for `guest` too.

    `require_unique_zone` is off: it keeps volumes of one *name* in different zones, and all our users' have one name.
    """
    return {
        "name": name,
        "region": region,
        "size_gb": size_gb,
        "encrypted": True,
        "fstype": "ext4",
        "require_unique_zone": False,
        "auto_backup_enabled": True,
        "snapshot_retention": 5,  # days, Fly's default, said aloud
        "compute": _guest(guest),
        **({"source_volume_id": source.volume_id} if source and source.volume_id else {}),
        **({"snapshot_id": source.snapshot_id} if source and source.snapshot_id else {}),
    }


def update_body(config: Mapping[str, object], *, version: str, image: str, guest: Guest) -> dict[str, object]:
    """The body that changes image and size of a Machine at rest: Fly takes the whole config or nothing."""
    return {
        "config": {**config, "image": image, "guest": _guest(guest)},
        "current_version": version,
        "skip_launch": True,
        "skip_secrets": True,
    }


def go_duration(duration: timedelta) -> str:
    """As Go's time.ParseDuration reads it, to the millisecond."""
    seconds, rest = divmod(round(duration.total_seconds() * 1000), 1000)
    return f"{seconds}s" if not rest else f"{seconds}.{rest:03d}s"


def _service(port: int) -> dict[str, object]:
    return {
        "protocol": "tcp",
        "internal_port": port,
        "ports": [{"port": port, "handlers": []}],
        "autostart": False,
        "autostop": "off",
        # Fly's own soft limit is 20, above which its proxy calls a Machine busy.
        "concurrency": {"type": "connections", "soft_limit": 10_000},
    }


def _guest(guest: Guest) -> dict[str, object]:
    return {"cpu_kind": guest.cpu_kind, "cpus": guest.cpus, "memory_mb": guest.memory_mb}


def _guest_of(told: object) -> Guest | None:
    if not isinstance(told, dict):
        return None
    kind, cpus, memory_mb = told.get("cpu_kind"), told.get("cpus"), told.get("memory_mb")
    if not (isinstance(kind, str) and isinstance(cpus, int) and isinstance(memory_mb, int)):
        return None
    return Guest(cpu_kind=kind, cpus=cpus, memory_mb=memory_mb)


def _image(ref: Mapping[str, object]) -> str:
    """`registry/repository@digest`, or with the tag where there is no digest."""
    name = "/".join(part for part in (_text(ref, "registry"), _text(ref, "repository")) if part)
    digest, tag = _text(ref, "digest"), _text(ref, "tag")
    return f"{name}@{digest}" if digest else f"{name}:{tag}" if tag else name


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {type(value).__name__}")
    return value


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {type(value).__name__}")
    return value


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _required(fields: Mapping[str, object], key: str) -> str:
    if not (value := _text(fields, key)):
        raise ValueError(f"no {key}")
    return value
