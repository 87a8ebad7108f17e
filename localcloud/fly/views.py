"""What exists, as the API shows it."""

from localcloud.fly.clock import rfc3339
from localcloud.fly.config import image_ref
from localcloud.fly.records import App, Json, Machine, Volume
from localcloud.fly.states import State
from localcloud.fly.world import World


def app_view(app: App, world: World) -> Json:
    return {
        "id": app.id,
        "internal_numeric_id": app.number,
        "name": app.name,
        "status": app.status,
        "network": app.network,
        "machine_count": sum(m.state is not State.DESTROYED for m in world.machines_of(app.name)),
        "volume_count": sum(1 for _ in world.volumes_of(app.name)),
        "organization": {"name": app.organization, "slug": app.organization, "internal_numeric_id": 1},
    }


def machine_view(machine: Machine, *, summary: bool = False, leases: bool = False) -> Json:
    """The Machine; as a `summary` without config, checks, events and host_status."""
    view: Json = {
        "id": machine.id,
        "name": machine.name,
        "state": str(machine.state),
        "region": machine.region,
        "instance_id": machine.version,
        "private_ip": machine.private_ip,
        "image_ref": image_ref(machine.config["image"]),
        "created_at": machine.created_at,
        "updated_at": machine.updated_at,
        "cordoned": machine.cordoned,
    }
    if leases and machine.lease is not None:
        view["lease"] = {
            "expires_at": int(machine.lease.expires_at.timestamp()),
            "owner": machine.lease.owner,
            "description": machine.lease.description,
        }
    if summary:
        return view
    # the config of a Machine on a host out of reach cannot be read, only what is known of it elsewhere
    config = "config" if machine.host_status == "ok" else "incomplete_config"
    return view | {
        config: machine.config,
        "events": list(reversed(machine.events[-20:])),
        "checks": [],
        "host_status": machine.host_status,
    }


def org_machine_view(machine: Machine, *, summary: bool) -> Json:
    view: Json = {
        "id": machine.id,
        "app_name": machine.app,
        "name": machine.name,
        "state": str(machine.state),
        "region": machine.region,
        "instance_id": machine.version,
        "version": machine.version,
        "private_ip": machine.private_ip,
        "created_at": machine.created_at,
        "updated_at": machine.updated_at,
    }
    if not summary:
        view["config"] = {key: machine.config[key] for key in ("guest", "image", "metadata") if key in machine.config}
    return view


def volume_view(volume: Volume) -> Json:
    return {
        "id": volume.id,
        "name": volume.name,
        "state": volume.state,
        "size_gb": volume.size_gb,
        "region": volume.region,
        "zone": "0000",
        "encrypted": volume.encrypted,
        "fstype": volume.fstype,
        "host_status": "ok",
        "created_at": volume.created_at,
        "snapshot_retention": volume.snapshot_retention,
        "auto_backup_enabled": volume.auto_backup_enabled,
        "blocks": 0,
        "block_size": 4096,
        "blocks_free": 0,
        "blocks_avail": 0,
        "bytes_used": 0,
        "bytes_total": volume.size_gb * 1024**3,
    } | ({"attached_machine_id": volume.attached_machine_id} if volume.attached_machine_id else {})


def lease_view(machine: Machine, *, nonce: bool) -> Json:
    """Wrapped, as it is on the wire. The nonce is for its owner alone."""
    lease = machine.lease
    if lease is None:
        return {}
    data: Json = {
        "expires_at": int(lease.expires_at.timestamp()),
        "owner": lease.owner,
        "description": lease.description,
        "version": lease.version,
    }
    return {"status": "success", "data": data | ({"nonce": lease.nonce} if nonce else {})}


def lease_expiry(machine: Machine) -> str:
    return rfc3339(machine.lease.expires_at) if machine.lease else ""
