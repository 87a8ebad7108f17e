"""What the API may ask of volumes and their snapshots."""

import hashlib
from datetime import timedelta
from typing import Final

from localcloud.fly import errors, ids, regions
from localcloud.fly.clock import rfc3339
from localcloud.fly.disk import bytes_in
from localcloud.fly.records import App, Json, Volume
from localcloud.fly.world import World

_DEFAULT_GB: Final = 3
_MOST_GB: Final = 500
_MOURNED: Final = timedelta(hours=24)  # how long a deleted volume's data is kept


class Volumes:
    """Every method raises Refused, and then has changed nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def create(self, app: App, body: Json) -> Volume:
        """A new one, empty, or a fork of `source_volume_id`, or restored from `snapshot_id`."""
        world = self._world
        if app.status == "deleting":
            raise errors.not_found("app")
        name = body.get("name")
        if not name:
            raise errors.invalid("name is required")
        if body.get("fstype", "ext4") not in ("ext4", "raw"):
            raise errors.invalid("fstype must be ext4 or raw")
        _check_retention(body)
        source_id, snapshot_id = body.get("source_volume_id"), body.get("snapshot_id")
        source = world.volume(app.name, source_id) if source_id else self._owner_of(app, snapshot_id)
        size = body.get("size_gb") or (source.size_gb if source else _DEFAULT_GB)
        if not (source.size_gb if source else 1) <= size <= _MOST_GB:
            raise errors.invalid(f"size_gb: {size} is out of range")
        default = source.region if source else world.default_region
        volume = Volume(
            id=ids.volume_id(),
            app=app.name,
            name=name,
            region=regions.concrete(body.get("region") or default),
            size_gb=size,
            state="restoring" if snapshot_id else "hydrating" if source_id else "creating",
            created_at=rfc3339(world.clock.now()),
            encrypted=body.get("encrypted", True),
            fstype=body.get("fstype", "ext4"),
            snapshot_retention=body.get("snapshot_retention", 5),
            auto_backup_enabled=body.get("auto_backup_enabled", True),
        )
        folder = world.disk.volume(volume.id)
        if source_id:
            world.disk.copy(world.disk.volume(source_id), folder)
        elif snapshot_id:
            world.disk.copy(world.disk.snapshot(snapshot_id), folder)
        else:
            folder.mkdir()
        world.volumes[volume.id] = volume
        if world.latencies.volume:
            world.errands.begin(self._finish(volume))
        else:
            volume.state = "created"
        world.changed()
        return volume

    async def _finish(self, volume: Volume) -> None:
        await self._world.clock.sleep(self._world.latencies.volume)
        if volume.state != "pending_destroy":
            volume.state = "created"
        self._world.changed()

    def _owner_of(self, app: App, snapshot_id: str | None) -> Volume | None:
        if not snapshot_id:
            return None
        for volume in self._world.volumes_of(app.name):
            if any(snapshot["id"] == snapshot_id for snapshot in volume.snapshots):
                return volume
        raise errors.not_found("snapshot")

    def update(self, volume: Volume, body: Json) -> None:
        """Only how its backups are kept can be changed."""
        _check_retention(body)
        volume.snapshot_retention = body.get("snapshot_retention", volume.snapshot_retention)
        volume.auto_backup_enabled = body.get("auto_backup_enabled", volume.auto_backup_enabled)
        self._world.changed()

    def extend(self, volume: Volume, body: Json) -> bool:
        """Grow it; whether its Machine must be restarted to see that."""
        size = body.get("size_gb")
        if size is None or not volume.size_gb <= size <= _MOST_GB:
            raise errors.invalid(f"size_gb: must be between {volume.size_gb} and {_MOST_GB}")
        if volume.state == "pending_destroy":
            raise errors.volume_gone()
        grew = size > volume.size_gb
        volume.size_gb = size
        self._world.changed()
        return grew and volume.attached_machine_id is not None

    def delete(self, volume: Volume) -> None:
        """Softly: it can no longer be mounted, and its folder goes a day later."""
        if volume.attached_machine_id is not None:
            raise errors.volume_attached(volume.id, volume.attached_machine_id)
        if volume.state != "pending_destroy":
            volume.state = "pending_destroy"
            volume.destroy_at = rfc3339(self._world.clock.now() + _MOURNED)
            self._world.changed()

    def snapshot(self, volume: Volume) -> Json:
        """A copy of the folder as it is now."""
        if volume.state == "pending_destroy":
            raise errors.volume_gone()
        world = self._world
        snapshot_id = ids.snapshot_id()
        folder = world.disk.snapshot(snapshot_id)
        world.disk.copy(world.disk.volume(volume.id), folder)
        snapshot = {
            "id": snapshot_id,
            "size": bytes_in(folder),
            "volume_size": volume.size_gb * 1024**3,
            "digest": hashlib.sha256(snapshot_id.encode()).hexdigest(),
            "status": "created",
            "created_at": rfc3339(world.clock.now()),
            "retention_days": volume.snapshot_retention,
        }
        volume.snapshots.append(snapshot)
        world.changed()
        return snapshot

    def bury(self) -> None:
        """Remove the folders of volumes that were deleted long enough ago."""
        now = rfc3339(self._world.clock.now())
        for volume in list(self._world.volumes.values()):
            if volume.destroy_at is not None and volume.destroy_at <= now:
                self.erase(volume)

    def erase(self, volume: Volume) -> None:
        """For good, with its snapshots."""
        for snapshot in volume.snapshots:
            self._world.disk.remove(self._world.disk.snapshot(snapshot["id"]))
        self._world.disk.remove(self._world.disk.volume(volume.id))
        del self._world.volumes[volume.id]
        self._world.changed()


def _check_retention(body: Json) -> None:
    if not 1 <= body.get("snapshot_retention", 5) <= 60:
        raise errors.invalid("snapshot_retention must be between 1 and 60")
