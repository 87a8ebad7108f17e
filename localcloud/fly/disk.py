"""The folders behind volumes, snapshots and Machines."""

import shutil
from pathlib import Path


class Disk:
    """Everything under one data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        for name in ("volumes", "snapshots", "machines"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    @property
    def memory(self) -> Path:
        """The file in which the stand-in remembers its apps, Machines and volumes."""
        return self.root / "fly.json"

    def volume(self, volume_id: str) -> Path:
        return self.root / "volumes" / volume_id

    def snapshot(self, snapshot_id: str) -> Path:
        return self.root / "snapshots" / snapshot_id

    def machine(self, machine_id: str) -> Path:
        """Home of a Machine: its log, and its root file system if it has no volume."""
        return self.root / "machines" / machine_id

    def log(self, machine_id: str) -> Path:
        return self.machine(machine_id) / "machine.log"

    def fresh_rootfs(self, machine_id: str) -> Path:
        """An empty folder for a Machine without a volume: a cold start resets it."""
        rootfs = self.machine(machine_id) / "rootfs"
        shutil.rmtree(rootfs, ignore_errors=True)
        rootfs.mkdir(parents=True)
        return rootfs

    def copy(self, source: Path, target: Path) -> None:
        """A snapshot, a fork or a restore. `source` may be in use: what vanishes meanwhile is left out."""
        try:
            shutil.copytree(source, target, symlinks=True)
        except shutil.Error as error:
            if any(Path(missed).exists() for missed, _, _ in error.args[0]):
                raise

    def remove(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


def bytes_in(folder: Path) -> int:
    """The size of all files under `folder`."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
